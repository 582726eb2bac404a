"""Say what a map shows, and what its page lacks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from retrieval.cli.reports import bytes_words, unknown_notes
from retrieval.display import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.curation.map import ImageMap, MapPage


def map_notes(found: ImageMap) -> Iterator[str]:
    """Yield what there is to say of a map."""
    groups = "group" if len(found.groups) == 1 else "groups"
    colours = ", ".join(escape(coloring.name) for coloring in found.colorings)
    yield f"{found.title}, {len(found.groups):,} {groups}; colours by {colours}"
    if found.sampled < found.total:
        yield f"taken by chance from {found.total:,} images"
    yield from unknown_notes(found.unknown, found.first_unknown)
    if found.words is not None:
        yield f"can be searched by {len(found.words.words):,} words"
    if found.unsearchable:
        yield f"cannot be searched by words: {escape(found.unsearchable)}"


def map_page_notes(page: MapPage, *, name: str) -> Iterator[str]:
    """Yield what there is to say of a page that was written to a file of this name."""
    yield f"wrote {name} ({bytes_words(page.bytes)})"
    reasons = Counter(page.faults.values())
    if reasons:
        told = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
        first = next(iter(page.faults))
        yield f"no picture of {len(page.faults):,} images that cannot be read ({told}), such as {escape(first)}"
    if page.left_out:
        yield f"no picture of {page.left_out:,} images: the file would be too large"

"""Write pages of guessed labels, and of doubted ones beside the images that contradict them."""

from __future__ import annotations

from html import escape as markup
from typing import TYPE_CHECKING, Final

from retrieval.curation.pages import Pictures, write_picture_page
from retrieval.display import escape

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from retrieval.curation.labels.guesses import Classification, Guess, Suspect, Suspects

MOST_SUSPECTS: Final = 200
"""Doubted images of a page."""
MOST_OF_LABEL: Final = 12
"""Images of one label on a page: half of them the surest ones, half the least sure."""
_MOST_LABELS: Final = 100


def write_suspects(found: Suspects, path: Path) -> int:
    """Write a page with each doubted image and its nearest labelled ones.

    Returns:
        how many doubted images are on it: the first `MOST_SUSPECTS`.
    Raises:
        CollectionNotFound: the collection is no longer there.
        StoreFull: no space left; a file that had the name stays.
    """
    shown = found[:MOST_SUSPECTS]
    pictures = Pictures(
        found.directory,
        {one.id: one.path for one in shown} | {voter.id: voter.path for one in shown for voter in one.voters},
        root=found.root,
        beside=path.absolute().parent,
    )
    first = f" The first {len(shown):,} are shown." if len(shown) < len(found) else ""
    write_picture_page(
        path,
        title=f"{len(found):,} doubtful labels",
        note=f"{found.judged:,} labels were judged, each as if it were not known.{first} After each image come the nearest others, "
        "with their labels.",
        sections=[_suspect(one, pictures) for one in shown],
        none="No label is doubtful.",
    )
    return len(shown)


def write_classification(found: Classification, path: Path) -> int:
    """Write a page with some images of each label, and of those that got none.

    Returns:
        how many images are on it.
    Raises:
        CollectionNotFound: the collection is no longer there.
        StoreFull: no space left; a file that had the name stays.
    """
    groups: dict[str | None, list[Guess]] = {}
    for one in found:
        groups.setdefault(one.label, []).append(one)
    without = groups.pop(None, [])
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0] or ""))[:_MOST_LABELS]
    chosen = [(label or "", len(every), _some(every)) for label, every in largest]
    if without:
        chosen.append(("no label", len(without), _some(without)))
    shown = [one for _, _, some in chosen for one in some]
    pictures = Pictures(
        found.directory, {one.id: one.path for one in shown}, root=found.root, beside=path.absolute().parent
    )
    more = (
        f" The {_MOST_LABELS} most frequent of {len(groups):,} labels are shown."
        if len(groups) > len(largest)
        else ""
    )
    write_picture_page(
        path,
        title=f"{found.guessed:,} guessed labels",
        note=f"{found.labelled:,} images had a label. Of each label you see the surest guesses, then the least sure ones.{more}",
        sections=[_group(label, count, some, pictures) for label, count, some in chosen],
        none="Every image has a label already.",
    )
    return len(shown)


def _some(every: list[Guess]) -> list[Guess]:
    """Return the surest and the least sure of the images."""
    ordered = sorted(every, key=lambda one: (-one.probability, one.id))
    if len(ordered) <= MOST_OF_LABEL:
        return ordered
    half = MOST_OF_LABEL // 2
    return ordered[:half] + ordered[-half:]


def _suspect(one: Suspect, pictures: Pictures) -> str:
    label, likely = markup(escape(one.label)), markup(escape(one.likely))
    doubted = pictures.figure(
        one.id, one.path, f"labelled {one.label} ({one.probability:.0%})", kind="doubted"
    )
    others = "".join(
        pictures.figure(voter.id, voter.path, f"{voter.label} ({voter.score:.2f})") for voter in one.voters
    )
    return (
        f"<section><h2><bdi>{label}</bdi>? Likely <bdi>{likely}</bdi> <span>{one.likely_probability:.0%}</span></h2>"
        f'<div class="shots">{doubted}{others}</div></section>'
    )


def _group(label: str, count: int, some: Iterable[Guess], pictures: Pictures) -> str:
    inner = "".join(
        pictures.figure(
            one.id,
            one.path,
            f"{one.probability:.0%}"
            if one.label is not None
            else f"{one.reason}: {one.best} {one.probability:.0%}",
        )
        for one in some
    )
    images = "image" if count == 1 else "images"
    return (
        f"<section><h2><bdi>{markup(escape(label))}</bdi> <span>{count:,} {images}</span></h2>"
        f'<div class="shots">{inner}</div></section>'
    )

"""Tell which rows were made by hand, and which by a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.generation import FOLDER, HAND, Source, source_of_type

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import Record


def sources_with_hand(manifest: Manifest | None, *, root: str | None) -> tuple[Source, ...]:
    """Return a collection's sources with that of rows by hand among them.

    Args:
        manifest: the published one; None for a new collection, whose first source is the folder that it lies in.
        root: that folder, as `Source.path` says it.
    """
    recorded = (Source(path=root),) if manifest is None else manifest.sources
    hand = source_of_type(recorded, HAND)
    return recorded if hand in recorded else (*recorded, hand)


def hand_number(manifest: Manifest | None) -> int:
    """Return the number that rows by hand have in their records, whether there are any or not."""
    return source_of_type((Source(),) if manifest is None else manifest.sources, HAND).number


def is_by_hand(record: Record, hand: int) -> bool:
    """Say whether a row was made by hand, from a vector or an image that was handed over.

    Args:
        record: the row's.
        hand: what `hand_number` returned. Before format 4 there were no numbers; only rows of files had a stamp.
    """
    return record.source == hand or (record.source == 0 and not record.stamp)


def origin_of(number: int, sources: tuple[Source, ...], directory: Path) -> str:
    """Say where the rows of a source come from: a file of a folder, or an image of another source.

    Args:
        number: of the source.
        sources: of the collection.
        directory: the collection's.
    """
    from retrieval.sources import spec_of

    found = next((source for source in sources if source.number == number), Source())
    kind = "a file of the folder" if found.type == FOLDER else "an image of"
    return f"{kind} {spec_of(directory, found)}"

"""Tell which source made a row: the folder that is built, or a person's own hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.generation import HAND, Source, free_number, source_of_type

if TYPE_CHECKING:
    from indexes.generation import Manifest
    from indexes.store import Record, VectorStore

__all__ = ["folder_number", "hand_number", "holder_by_hand", "is_by_hand", "sources_with_hand"]


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


def folder_number(manifest: Manifest | None) -> int:
    """Return the number that rows of the folder's files have in their records."""
    if manifest is None:
        return Source().number
    return free_number(manifest.sources) if manifest.folder is None else manifest.folder.number


def is_by_hand(record: Record, hand: int) -> bool:
    """Say whether a row was made by hand, from a vector or an image that was handed over.

    Args:
        record: the row's.
        hand: what `hand_number` returned. Before format 4 there were no numbers; only rows of files had a stamp.
    """
    return record.source == hand or (record.source == 0 and not record.stamp)


def holder_by_hand(store: VectorStore, key: bytes, *, hand: int) -> int | None:
    """Return the row by hand that has a key; None where a file's row or none has it."""
    record = store.find_record(key)
    return record.id if record is not None and is_by_hand(record, hand) else None

"""Refuse an upgrade that could never be finished, because rows by hand have no image to encode again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from indexes.generation import HAND
from indexes.store import key_and_stamp
from retrieval.collection.rows import hand_number
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from indexes.generation import Manifest
    from indexes.store import Record, VectorStore
    from retrieval.sources import Source


def refuse_rows_without_images(store: VectorStore, manifest: Manifest, source: Source) -> None:
    """Refuse to begin while there are rows by hand that no encoder can encode again.

    Args:
        store: the collection's rows.
        manifest: the published one.
        source: where images lie; a row that was added as a path may have one, too.
    Raises:
        OptionError: there are some; the message counts them and names the first.
    """
    if all(recorded.type != HAND for recorded in manifest.sources):
        return
    first, count = b"", 0
    for _, records in store.packed(source=hand_number(manifest)):
        for key, _ in map(key_and_stamp, records):
            if not source.holds(key):
                first, count = first or key, count + 1
    if count:
        raise OptionError(
            f"{count:,} of {manifest.live:,} rows were added by hand and have no image that the new encoder could encode "
            f"({os.fsdecode(first)!r} is the first), so the upgrade could never be finished; nothing was changed. "
            "`delete` these rows, or build another collection with the new encoder"
        )


def count_by_hand(records: list[Record], manifest: Manifest) -> int:
    """Return how many rows were added by hand."""
    hand = hand_number(manifest)
    return sum(record.source == hand for record in records)

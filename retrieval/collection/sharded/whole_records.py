"""Read the records of the rows of all shards in this process, one shard after the other; a record's id is its row's place."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import numpy as np

from indexes.generation import store_path
from indexes.store import VectorStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from indexes.generation import Shards
    from indexes.store import Record
    from indexes.vectors import Bitmap


class WholeRecords(AbstractContextManager["WholeRecords"]):
    """What a store gives of one collection, of all shards; rows are counted through them. A context manager.

    Args:
        directory: of the whole.
        shards: the generations that are shown.
        live: ``(count,)`` flags of the rows without a tombstone.
    Raises:
        StoreCorrupt, FileNotFoundError: a shard is damaged or missing.
    """

    def __init__(self, directory: Path, shards: Shards, live: Bitmap) -> None:
        counts = [shard.manifest.count for shard in shards.shards]
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        with ExitStack() as stack:
            self._stores: list[VectorStore] = []
            for shard, start, count in zip(shards.shards, self._starts.tolist(), counts, strict=True):
                place = directory / shard.name
                store = VectorStore.open(
                    store_path(place, shard.manifest),
                    dim=shard.manifest.space.dim,
                    count=count,
                    live=live[start : start + count],
                )
                self._stores.append(stack.enter_context(store))
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Let go of all stores."""
        self._closing.close()

    def __exit__(self, *_error: object) -> None:
        self.close()

    def scan(self) -> Iterator[Record]:
        """Yield the records of all live rows, ascending."""
        for start, store in zip(self._starts.tolist(), self._stores, strict=True):
            for record in store.scan():
                yield record._replace(id=start + record.id)

    def scan_columns(self) -> Iterator[tuple[int, bytes]]:
        """Yield the places and packed columns of the rows that have some, ascending."""
        for start, store in zip(self._starts.tolist(), self._stores, strict=True):
            for number, data in store.scan_columns():
                yield start + number, data

    def records(self, places: Iterable[int]) -> list[Record]:
        """Return the records of some rows, in their order."""
        wanted = np.fromiter(places, dtype=np.int64)
        of = (
            np.searchsorted(self._starts, wanted, side="right") - 1
        )  # empty shards begin where the next one does
        found: list[Record | None] = [None] * len(wanted)
        for number in np.unique(of).tolist():
            chosen = np.flatnonzero(of == number)
            start = int(self._starts[number])
            own = self._stores[number].records((wanted[chosen] - start).tolist())
            for place, record in zip(chosen.tolist(), own, strict=True):
                found[place] = record._replace(id=start + record.id)
        return [record for record in found if record is not None]

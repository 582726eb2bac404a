"""Add new images during an upgrade: only the new encoder encodes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from indexes.derivation import Carried
from indexes.migration import ADDED, SERVED, Staging
from indexes.store import VectorStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from indexes.store import NewRow, Record
    from indexes.vectors import Bitmap, Ids, Vectors
    from retrieval.collection import Migration


class BothSpaces:
    """The store of the old rows and the staging store beside it, written as one by a build.

    A new image gets an id and a record in the old store, where its row is what the map expects, and its own row in the
    staging store, which is what answers. A copy of an image takes over what that one has.
    """

    store: VectorStore

    def __init__(self, store: VectorStore, staging: Staging, migration: Migration) -> None:
        self.store, self._staging, self._migration = store, staging, migration
        staging.drop_from(store.count)  # a killed build had got no further

    def append(self, rows: Vectors, records: Sequence[NewRow]) -> Ids:
        """Add one image.

        Args:
            rows: ``(1, d_new)`` by the new encoder; or ``(1, d_new + d_old)``, what `rows` returned for a copy of it, the
                first part all zeros where that one has no new row yet.
            records: its record.
        """
        wide = self._migration.new_space.dim
        if rows.shape[1] == wide:
            ids = self.store.append(self._migration.way.image.apply(rows), records)
            self._staging.append(ids, rows, [record.content for record in records], state=ADDED)
            return ids
        ids = self.store.append(rows[:, wide : wide + self.store.dim], records)
        if rows[:, :wide].any():
            state = ADDED if rows.shape[1] > wide + self.store.dim else SERVED
            self._staging.append(ids, rows[:, :wide], [record.content for record in records], state=state)
        return ids

    def rows(self, start: int, stop: int) -> NDArray[np.float16]:
        """Return one committed row in both spaces ``(1, d_new + d_old)``, for `append` to copy; a mark behind if it was added."""
        old = self.store.rows(start, stop)
        staged = self._staging.find(start)
        served = staged is not None and staged.state in (ADDED, SERVED)
        new = self._staging.row(start) if served else None
        parts = [np.zeros((1, self._migration.new_space.dim), dtype=np.float16) if new is None else new, old]
        if staged is not None and staged.state == ADDED:
            parts.append(np.ones((1, 1), dtype=np.float16))
        return np.hstack(parts)

    def commit(self) -> None:
        """Make everything durable: the new rows first, so that no committed id is ever without its own."""
        self._staging.commit()
        self.store.commit()

    def carried(self, *, briefly: bool) -> Carried:
        """Index the new rows and return what the generation is given that they are published in."""
        self._staging.index(self._migration.new_space, briefly=briefly)
        count = self.store.count
        table, added = self._staging.tables(count)
        alive = ~self.store.tombstones()
        return self._migration.carried(
            table,
            added,
            live=int(np.count_nonzero(alive)),
            served=int(np.count_nonzero(alive & (table >= 0))),
        )

    # What a build asks of the records is the old store's business.

    @property
    def count(self) -> int:
        """Rows committed, tombstoned ones included."""
        return self.store.count

    @property
    def pending(self) -> int:
        """Changes that wait for `commit`."""
        return self.store.pending

    def find(self, key: bytes) -> int | None:
        """Return the id of the live row with this key, or None."""
        return self.store.find(key)

    def record(self, number: int) -> Record:
        """Return a row's record."""
        return self.store.record(number)

    def remove(self, ids: Iterable[int]) -> None:
        """Give rows a tombstone."""
        self.store.remove(ids)

    def rename(self, number: int, key: bytes, stamp: bytes) -> None:
        """Give a live row another key and stamp."""
        self.store.rename(number, key, stamp)

    def restamp(self, number: int, stamp: bytes) -> None:
        """Give a live row another stamp."""
        self.store.restamp(number, stamp)

    def columns(self, ids: Iterable[int]) -> list[bytes]:
        """Return the columns of rows."""
        return self.store.columns(ids)

    def set_columns(self, number: int, data: bytes) -> None:
        """Give a live row other columns."""
        self.store.set_columns(number, data)

    def tombstones(self) -> Bitmap:
        """Return ``(count,)`` flags of rows that are gone."""
        return self.store.tombstones()


Growing: TypeAlias = VectorStore | BothSpaces
"""What a build writes to."""


def plain(store: Growing) -> VectorStore:
    """Return the store that holds the records."""
    return store.store if isinstance(store, BothSpaces) else store


def carried(store: Growing, *, briefly: bool = False) -> Any:
    """Return what a generation is given besides its index; ``briefly`` trains none of an upgrade's new rows."""
    return store.carried(briefly=briefly) if isinstance(store, BothSpaces) else Carried()

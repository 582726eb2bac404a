"""Collect the changes of the one writer and commit them in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import lmdb
import numpy as np

from indexes import forks
from indexes.errors import MissingRow, ShapeError, StoreLocked
from indexes.store.lmdb import Databases, Environment
from indexes.store.lock import WriterLock
from indexes.store.mirror import RERANK, cut_rows, write_rows
from indexes.store.tables import (
    COLUMNS,
    RUNS,
    Changes,
    NewRow,
    check_fields,
    holders,
    records_of,
    room_of_runs,
    rows_of,
    rows_per_block,
    unpack_id,
)
from indexes.vectors import Bitmap, Halves, Ids, Vectors, stored_rows

_BLOCKS_AT_ONCE = 16  # copied to `rerank.f16` where it has fallen behind


class Writer:
    """The writing side of a store that is open for writing; `VectorStore` says what each method promises.

    Args:
        directory: the collection's directory.
        environment: open for writing.
        dim: width of the rows.
        dead: ``(count,)`` tombstones of the committed rows; left unchanged.
        lock: checked before every commit.
    Attributes:
        dead: ``(count,)`` tombstones as of the last commit.
    """

    def __init__(
        self, directory: Path, environment: Environment, *, dim: int, dead: Bitmap, lock: WriterLock | None
    ) -> None:
        self.dead = dead
        self._directory, self._environment, self._dim, self._lock = directory, environment, dim, lock
        self._inherited = False  # by a forked child
        forks.after_fork(self, Writer._leave_to_parent)
        self._changes = self._none_yet()

    def _leave_to_parent(self) -> None:
        self._inherited = True

    def settle(self) -> None:
        """Bring `rerank.f16` in line: what a killed writer left is cut off, what is missing is written from LMDB."""
        self._environment.forget_dead_readers()
        path, count = self._directory / RERANK, len(self.dead)
        held = cut_rows(path, count=count, dim=self._dim)
        step = _BLOCKS_AT_ONCE * rows_per_block(self._dim)
        while held < count:
            rows = rows_of(self._environment, held, min(held + step, count), dim=self._dim)
            write_rows(path, rows, first=held)
            held += len(rows)

    @property
    def pending(self) -> int:
        """Changes that wait for `commit`."""
        return len(self._changes)

    def append(self, rows: Vectors | Halves, records: Sequence[NewRow]) -> Ids:
        """Add rows and their records."""
        if len(rows) != len(records):
            raise ShapeError(f"{self._directory}: {len(rows)} rows but {len(records)} records")
        for record in records:
            check_fields(
                key=record.key,
                content=record.content,
                stamp=record.stamp,
                source=record.source,
                columns=record.columns,
            )
        first = self._changes.count
        if len(rows):
            half = stored_rows(rows, dim=self._dim, what="rows to store")  # (n, d)
            try:
                self._changes.append(half, records)
            except BaseException:
                # An interrupt in the middle would leave counted rows without their values for the next commit.
                self._changes = self._none_yet()
                raise
        return np.arange(first, self._changes.count, dtype=np.int64)

    def remove(self, ids: Iterable[int] | Ids) -> None:
        """Give rows a tombstone."""
        numbers = [int(number) for number in ids]
        for number in numbers:
            self._require(number)
        self._changes.remove([number for number in dict.fromkeys(numbers) if not self._is_dead(number)])

    def rename(self, number: int, key: bytes, stamp: bytes) -> None:
        """Give a live row another key and stamp."""
        check_fields(key=key, stamp=stamp)
        self._changes.rename(self._require_live(number), key, stamp)

    def restamp(self, number: int, stamp: bytes) -> None:
        """Give a live row another stamp."""
        check_fields(stamp=stamp)
        self._require_live(number)
        self._changes.rename(number, self._changes.record(number).key, stamp)

    def set_columns(self, number: int, data: bytes) -> None:
        """Give a live row other columns."""
        check_fields(columns=data)
        self._changes.set_columns(self._require_live(number), data)

    def commit(self) -> None:
        """Make all that waits durable: the rows in `rerank.f16`, then everything in one transaction."""
        if not self.pending:
            return
        if self._inherited:
            raise StoreLocked(
                f"{self._directory}: was opened for writing before a fork, so only the parent may write; open it again"
            )
        if self._lock is not None:
            self._lock.check()
        changes = self._changes
        dead = np.zeros(changes.count, np.bool_)  # (count,)
        dead[: len(self.dead)] = self.dead
        dead[list(changes.dead)] = True
        if changes.with_columns:
            self._environment.make_database(COLUMNS)
        if changes.needs_runs:
            self._environment.make_database(RUNS)
        room = changes.size(dim=self._dim) + room_of_runs(self._environment, *changes.added_digests())
        self._write_rerank(changes)

        def apply(txn: lmdb.Transaction[bytes], databases: Databases) -> None:
            if unpack_id(txn.get(b"count", b"", db=databases[b"meta"])) != changes.first:
                raise StoreLocked(
                    f"{self._environment.path}: another process has written meanwhile; run the command again"
                )
            changes.apply(
                txn, databases, block=rows_per_block(self._dim), tombstones=dead, path=self._environment.path
            )

        self._environment.write(apply, room=room)
        self.dead = dead
        self._changes = self._none_yet()

    def _write_rerank(self, changes: Changes) -> None:
        first = changes.first
        for index, rows in enumerate(changes.rows):
            write_rows(self._directory / RERANK, rows, first=first, sync=index == len(changes.rows) - 1)
            first += len(rows)

    def _none_yet(self) -> Changes:
        environment = self._environment
        return Changes(
            len(self.dead),
            holders=partial(holders, environment),
            records=partial(records_of, environment),
        )

    def _require(self, number: int) -> int:
        return require(self._directory, number, self._changes.count)

    def _require_live(self, number: int) -> int:
        if self._is_dead(self._require(number)):
            raise MissingRow(f"{self._directory}: row {number} was removed or superseded")
        return number

    def _is_dead(self, number: int) -> bool:
        return number in self._changes.dead or (number < len(self.dead) and bool(self.dead[number]))


def require(directory: Path, number: int, count: int) -> int:
    """Return ``number``, if it is the id of one of ``count`` rows.

    Raises:
        MissingRow: it is not.
    """
    if not 0 <= number < count:
        raise MissingRow(f"{directory}: row {number} is not among the {count:,} rows")
    return number

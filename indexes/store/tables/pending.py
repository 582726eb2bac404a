"""Resolve a writer's uncommitted changes to what LMDB will hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import lmdb
import numpy as np
from numpy.typing import NDArray

from indexes.errors import StoreCorrupt
from indexes.store.tables import columns, digest_runs, seals
from indexes.store.tables.digest_runs import RUNS
from indexes.store.tables.records import NewRow, Record, key_digest, pack_id, pack_record, unpack_id
from indexes.vectors import Bitmap

NUMBERED: Final = 2
"""The layout of a store whose records have sources; 1 while none has."""

COLUMNED: Final = 3
"""The layout of a store with columns."""

FORMAT: Final = 4
"""The layout of a store that keeps runs of digests (`indexes.store.tables.digest_runs`), and the newest that this version reads."""

TOMBSTONES_PER_CHUNK: Final = 8 * (4096 - 16)
"""Flags in one value of the tombstones: a bitmap that fills one page."""

_AT_ONCE: Final = 4096  # records read in one snapshot

ROW_OVERHEAD: Final = 512
"""Bytes of LMDB that a row may need besides its vector and record, generously: maps, page headers, half-full pages."""


class Changes:
    """Buffered changes, each resolved when it is asked for; the last one about a key or an id holds.

    Resolving early keeps the transaction short and lets it be run again unchanged when the map has to grow.

    Args:
        count: rows committed; the first new one gets this id.
        holders: the ids that digests of keys lead to in the store; those that lead nowhere are left out.
        records: the committed records of ids.
    """

    def __init__(
        self,
        count: int,
        *,
        holders: Callable[[Sequence[bytes]], dict[bytes, int]],
        records: Callable[[Sequence[int]], list[Record]],
    ) -> None:
        self.first = self.count = count
        self.rows: list[NDArray[np.float16]] = []
        self.dead: set[int] = set()
        self._records: dict[int, Record] = {}
        self._keys: dict[bytes, int | None] = {}
        self._contents: dict[tuple[bytes, int], bool] = {}
        self._columns: dict[int, bytes] = {}
        self._recolumned = False  # columns of a row that is stored already have changed
        self._changed = 0
        self._renamed = False  # a row that is stored already has got another key
        self._numbered = False  # a row has a source of another number than 0
        self._holders = holders
        self._stored = records

    def __len__(self) -> int:
        """Return how many changes wait, rows and others."""
        return self.count - self.first + self._changed

    def append(self, rows: NDArray[np.float16], records: Sequence[NewRow]) -> None:
        """Add rows ``(n, d)``; the live row that holds a key already gets a tombstone."""
        digests = [key_digest(new.key) for new in records]
        stored = self._holders([digest for digest in digests if digest not in self._keys])
        for digest, new in zip(digests, records, strict=True):
            held = self._keys[digest] if digest in self._keys else stored.get(digest)
            if held is not None:
                self._kill(held)
            record = Record(
                id=self.count, key=new.key, content=new.content, stamp=new.stamp, source=new.source
            )
            self._numbered |= new.source != 0
            self._records[self.count] = record
            self._keys[digest] = self.count
            if new.content:
                self._contents[new.content, self.count] = True
            if new.columns:
                self._columns[self.count] = new.columns
            self.count += 1
        self.rows.append(rows)

    def remove(self, numbers: Sequence[int]) -> None:
        """Give live rows, each named once, a tombstone and free their keys; the records of many are read together."""
        for start in range(0, len(numbers), _AT_ONCE):
            for record in self._records_of(numbers[start : start + _AT_ONCE]):
                self._bury(record)
                self._keys[key_digest(record.key)] = None
                self._changed += 1

    def rename(self, number: int, key: bytes, stamp: bytes) -> None:
        """Give the live row ``number`` another key and stamp; the live row that holds that key gets a tombstone."""
        old = self.record(number)
        digest = key_digest(key)
        held = self._keys[digest] if digest in self._keys else self._holders([digest]).get(digest)
        if held != number:
            if held is not None:
                self._kill(held)
            self._keys[key_digest(old.key)] = None
            self._keys[digest] = number
        self._records[number] = old._replace(key=key, stamp=stamp)
        self._renamed |= number < self.first and key != old.key
        self._changed += 1

    def set_columns(self, number: int, data: bytes) -> None:
        """Give the live row ``number`` other columns; none if they are empty."""
        self._columns[number] = data
        self._recolumned |= number < self.first
        self._changed += 1

    @property
    def with_columns(self) -> bool:
        """Whether `apply` writes columns."""
        return bool(self._columns)

    def record(self, number: int) -> Record:
        """Return the record that ``number`` will have."""
        return self._records_of([number])[0]

    def _records_of(self, numbers: Sequence[int]) -> list[Record]:
        """Return the records that rows will have, in their order."""
        stored = iter(self._stored([number for number in numbers if number not in self._records]))
        return [self._records[number] if number in self._records else next(stored) for number in numbers]

    def _kill(self, number: int) -> None:
        self._bury(self.record(number))

    def _bury(self, record: Record) -> None:
        """Give a row a tombstone; its content leads to it no more."""
        self.dead.add(record.id)
        if record.content:
            self._contents[record.content, record.id] = False

    @property
    def needs_runs(self) -> bool:
        """Whether there are so many rows that new digests go into runs."""
        return self.count > digest_runs.FROM_ROWS

    def added_digests(self) -> tuple[int, int]:
        """Return how many digests of keys and how many content hashes `apply` adds."""
        return (
            sum(number is not None for number in self._keys.values()),
            sum(self._contents.values()),
        )

    def size(self, *, dim: int) -> int:
        """Return about how many bytes `apply` adds to LMDB, runs of digests excepted; rather too many."""
        records = sum(len(record.key) + 128 for record in self._records.values())
        return (
            (self.count - self.first) * (2 * dim + ROW_OVERHEAD)
            + records
            + ROW_OVERHEAD * len(self._keys)
            + sum(len(data) + ROW_OVERHEAD for data in self._columns.values())
            + (4 << 20)
        )

    def apply(
        self,
        txn: lmdb.Transaction[bytes],
        databases: Mapping[bytes, Any],
        *,
        block: int,
        tombstones: Bitmap,
        path: Path,
    ) -> None:
        """Put everything into one transaction.

        Args:
            txn: a write transaction.
            databases: the store's databases by name.
            block: rows per block.
            tombstones: ``(count,)`` flags as they will be.
            path: of the store, for messages.
        Raises:
            StoreCorrupt: what is there already and is added to is damaged.
        """
        seals.seal(txn, databases, path)
        if self.rows:
            self._put_blocks(txn, databases, block, path)
        records = sorted(self._records.items())
        new = [(pack_id(number), pack_record(record)) for number, record in records if number >= self.first]
        old = [(pack_id(number), pack_record(record)) for number, record in records if number < self.first]
        with txn.cursor(databases[b"records"]) as cursor:
            cursor.putmulti(old)
            cursor.putmulti(new, append=True)
        if RUNS in databases:
            self._put_runs(txn, databases[RUNS])
        else:
            self._put_trees(txn, databases)
        for chunk in {number // TOMBSTONES_PER_CHUNK for number in self.dead}:
            flags = tombstones[chunk * TOMBSTONES_PER_CHUNK : (chunk + 1) * TOMBSTONES_PER_CHUNK]
            packed = np.packbits(flags).tobytes()
            txn.put(pack_id(chunk), packed, db=databases[b"tombstones"])
            seals.put_chunk(txn, databases, chunk, packed)
        meta = databases[b"meta"]
        if self._renamed:
            txn.put(b"renames", pack_id(unpack_id(txn.get(b"renames", pack_id(0), db=meta)) + 1), db=meta)
        if self._columns:
            columns.put(txn, databases, self._columns, first=self.first)
        if self._recolumned:
            txn.put(b"columns", pack_id(unpack_id(txn.get(b"columns", pack_id(0), db=meta)) + 1), db=meta)
        layout = COLUMNED if self._columns else NUMBERED if self._numbered else 1
        layout = FORMAT if RUNS in databases else layout
        txn.put(b"format", max(pack_id(layout), txn.get(b"format", b"", db=meta)), db=meta)
        txn.put(b"count", pack_id(self.count), db=meta)
        seals.put_facts(txn, databases)

    def _put_runs(self, txn: lmdb.Transaction[bytes], runs: Any) -> None:
        """Add the digests; those of rows that have gone stay, and lead to rows with a tombstone or another key."""
        keys = [(digest, number) for digest, number in self._keys.items() if number is not None]
        digest_runs.put(txn, runs, digest_runs.KEY, *_columns_of(keys))
        contents = [pair for pair, present in self._contents.items() if present]
        digest_runs.put(txn, runs, digest_runs.CONTENT, *_columns_of(contents))

    def _put_trees(self, txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any]) -> None:
        """Put the digests into trees, and delete those of rows that have gone."""
        keys = sorted(self._keys.items())
        with txn.cursor(databases[b"keys"]) as cursor:
            cursor.putmulti([(digest, pack_id(number)) for digest, number in keys if number is not None])
        for digest, number in keys:
            if number is None:
                txn.delete(digest, db=databases[b"keys"])
        contents = sorted(self._contents.items())
        with txn.cursor(databases[b"contents"]) as cursor:
            cursor.putmulti(
                [(content, pack_id(number)) for (content, number), present in contents if present]
            )
        for (content, number), present in contents:
            if not present:
                txn.delete(content, pack_id(number), db=databases[b"contents"])

    def _put_blocks(
        self, txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], block: int, path: Path
    ) -> None:
        """Fill the last block, which is written again, then add whole new ones at the end."""
        blocks = databases[b"blocks"]
        rows = self.rows[0] if len(self.rows) == 1 else np.concatenate(self.rows)  # (n, d)
        number, held = divmod(self.first, block)
        start = 0
        if held:
            start = min(block - held, len(rows))
            before = txn.get(pack_id(number), b"", db=blocks)
            if not seals.block_fits(txn, databases, number, before):
                raise StoreCorrupt(f"{path}: block {number} is not what was written; run `verify`")
            filled = before + rows[:start].tobytes()
            txn.put(pack_id(number), filled, db=blocks)
            seals.put_block(txn, databases, number, filled)
            number += 1
        for begin in range(start, len(rows), block):
            part = rows[begin : begin + block]
            txn.put(pack_id(number), part.data.cast("B"), append=True, db=blocks)
            seals.put_block(txn, databases, number, part.data.cast("B"))
            number += 1


def _columns_of(pairs: Sequence[tuple[bytes, int]]) -> tuple[list[bytes], list[int]]:
    """Return digests and ids of pairs of these."""
    return [digest for digest, _ in pairs], [number for _, number in pairs]

"""Store full-width float16 vectors and a record for each in LMDB: the truth of a collection.

Ids are positions: rows are only ever added, and a removed or superseded row gets a tombstone. Databases of
``vectors.lmdb``: *blocks* (block number → about 1,024 rows), *records* (id → source, content, stamp, key), *keys*
(BLAKE2b-128 of the key → id of the live row), *contents* (content hash → ids of live rows), *tombstones* (bitmaps),
*meta*; once a row has some, *columns* (id → what the caller knows of the row); and in large stores *runs* (new digests of keys and
contents, `digest_runs`). Beside it lies `rerank.f16`, the same rows to be mapped.

Long because `VectorStore` is the store's whole interface, and each method's contract stands at its definition; `writer`,
`tables` and `mirror` do the work.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import lmdb
import numpy as np
from numpy.typing import NDArray

from indexes import forks
from indexes.errors import (
    MissingRow,
    OptionError,
    ShapeError,
    StoreClosed,
    StoreCorrupt,
    StoreReadOnly,
)
from indexes.files import PARTIAL, make_directories, move, remove_tree, sync_directory, writing
from indexes.layout import VECTORS
from indexes.repair_hints import cure_of_store
from indexes.store.lmdb import DATA, Databases, Environment, abandon, acquire, is_open, pages, release
from indexes.store.lock import WriterLock
from indexes.store.mirror import RERANK
from indexes.store.tables import (
    FLAGS,
    NAMES,
    OPTIONAL,
    PLAIN,
    NewRow,
    Record,
    block_sum,
    changes_of,
    columns_of,
    describe,
    ids_of_contents,
    key_of,
    missing,
    not_found_by_content,
    not_found_by_key,
    of_source,
    pack_id,
    packed_records,
    put_facts,
    record_by_key,
    records_by_key,
    records_of,
    renames_of,
    rows_of,
    rows_per_block,
    scan_columns,
    unpack_record,
    wrong_columns,
)
from indexes.store.writer import Writer, require
from indexes.vectors import Bitmap, Halves, Ids, Vectors

_COPIES = 16_384
"""Contents whose rows are remembered."""

_SCAN = 4096
"""Records read in one snapshot while scanning: a long one would keep the writer from reusing pages."""


class VectorStore(forks.Unshared, AbstractContextManager["VectorStore"]):
    """Rows and records of one collection; a context manager.

    Reading is thread-safe, and any number of processes may read while one writes; a store that was opened for reading
    goes on showing the rows and tombstones of that moment, with the records' newest keys and stamps. One thread
    writes, and it holds the collection's `WriterLock`. Changes wait until `commit`; before it nobody sees them, this
    store's own reads included, and `close` drops them.

    Attributes:
        directory: the collection's directory.
        dim: width of the rows.
    """

    def __init__(
        self, directory: Path, environment: Environment, *, lock: WriterLock | None, writable: bool
    ) -> None:
        """Take over a use of ``environment``; call `open` or `create` instead."""
        self.directory = directory
        self._shared = environment
        self._closing = forks.Lock()
        self._closed = False
        self._collected: weakref.finalize[..., VectorStore]
        self._behind = False
        self._commit, self.dim, self._dead = describe(environment)
        self._count = len(self._dead)
        self._copies: dict[bytes, list[int]] = {}  # ids by content, of those that were asked for
        self._checked: dict[int, bytes] = {}  # of blocks that this store has read and found right
        self._writer = (
            Writer(directory, environment, dim=self.dim, dead=self._dead, lock=lock) if writable else None
        )

    @staticmethod
    def exists(directory: str | os.PathLike[str]) -> bool:
        """Say whether ``directory`` holds a store; `create` makes it whole or not at all."""
        return (Path(directory) / VECTORS / DATA).exists()

    @classmethod
    def create(
        cls, directory: str | os.PathLike[str], *, dim: int, lock: WriterLock | None = None
    ) -> VectorStore:
        """Make an empty store, opened for writing.

        Args:
            directory: the collection's directory; made if it is missing.
            dim: width of its rows.
            lock: checked before every commit.
        Raises:
            OptionError: a store is there already, or ``dim`` is not positive.
            StoreReadOnly: the directory cannot be written.
            StoreFull: no space left.
        """
        home = Path(directory)
        if dim < 1:
            raise OptionError(f"{home}: a row of width {dim} cannot be stored")
        if cls.exists(home):
            raise OptionError(f"{home / VECTORS}: is there already; open it instead")
        building = home / f"{PARTIAL}{VECTORS}"
        with writing(home):
            remove_tree(building)
            make_directories(home)
            environment = acquire(building, names=NAMES, optional=OPTIONAL, create=True)
            meta = {b"format": pack_id(PLAIN), b"dim": pack_id(dim), b"count": pack_id(0)}
            try:
                environment.write(partial(_begin, meta), room=1 << 20)
            finally:
                release(environment)
            (home / RERANK).unlink(
                missing_ok=True
            )  # a stray one; somebody may have mapped it, so it is not cut
            remove_tree(home / VECTORS)  # without data.mdb, as `exists` has it
            sync_directory(building)  # LMDB makes its files' contents durable, not their names
            move(building, home / VECTORS)
        return cls.open(home, dim=dim, writable=True, lock=lock)

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        *,
        dim: int | None,
        writable: bool = False,
        count: int | None = None,
        live: Bitmap | None = None,
        lock: WriterLock | None = None,
    ) -> VectorStore:
        """Open the store in ``directory``.

        Opening for writing brings `rerank.f16` in line: what a killed writer left is cut off, what is missing is
        written from LMDB.

        Args:
            directory: the collection's directory.
            dim: the width expected; None takes the store's own.
            writable: the caller holds the collection's `WriterLock` and will append, remove or rename.
            count: show only the first ``count`` rows, those of a manifest; for reading.
            live: with ``count``: the rows that this manifest's generation has, ``(count,)``; None for those of this
                moment. A writer may have deleted more, or restored some, since it was published.
            lock: checked before every commit.
        Raises:
            FileNotFoundError: there is no store.
            StoreCorrupt: it is short, damaged, or holds fewer than ``count`` rows.
            ShapeError: its rows have another width.
            ManifestTooNew: a later version wrote it.
            StoreReadOnly: ``writable``, and it cannot be written.
        """
        home = Path(directory)
        if not cls.exists(home):
            raise FileNotFoundError(f"{home / VECTORS}: missing; run `build_index` on the folder")
        if not is_open(home / VECTORS):  # else LMDB reads these pages already
            pages.check(home / VECTORS / DATA, flags=FLAGS)
        environment = acquire(home / VECTORS, names=NAMES, optional=OPTIONAL, writable=writable)
        try:
            if writable:
                environment.end_killed_commit()
            store = cls(home, environment, lock=lock, writable=writable)
            if dim is not None and store.dim != dim:
                raise ShapeError(
                    f"{home / VECTORS}: holds rows of width {store.dim}, expected {dim}; "
                    "use the encoder it was built with, or build another collection"
                )
            if store._writer is not None:
                store._writer.settle()
            elif count is not None:
                store._show(count, live)
        except BaseException:
            release(environment)
            raise
        # One that nobody closes gives up its use when it is collected; at exit threads may still be reading.
        store._collected = weakref.finalize(store, abandon, environment)
        store._collected.atexit = False
        return store

    def _show(self, count: int, live: Bitmap | None) -> None:
        if count > self._count:
            raise StoreCorrupt(
                f"{self._environment.path}: holds {self._count:,} rows, expected at least {count:,}; "
                f"{cure_of_store(self._environment.path)}"
            )
        self._behind = count < self._count
        self._count = count
        if live is not None:
            self._behind = self._behind or bool((self._dead[:count] == live).any())
            self._dead = ~live
        else:
            self._dead = self._dead[:count]

    @property
    def count(self) -> int:
        """Rows committed, tombstoned ones included."""
        return self._count

    @property
    def live(self) -> int:
        """Rows committed and without a tombstone."""
        return self._count - int(np.count_nonzero(self._dead))

    @property
    def pending(self) -> int:
        """Changes that wait for `commit`: rows appended, removed, renamed, restamped."""
        return 0 if self._writer is None else self._writer.pending

    # Writing

    def append(self, rows: Vectors | Halves, records: Sequence[NewRow]) -> Ids:
        """Add rows; a live row with the same key is superseded, its id gets a tombstone in the same transaction.

        Args:
            rows: ``(n, d)`` unit rows, kept as float16; left unchanged. Float16 rows must stay so until `commit`.
            records: one for each row.
        Returns:
            the new ids ``(n,)``, consecutive.
        Raises:
            ShapeError: another width, or not as many records as rows.
            VectorError: a row is zero or not finite.
            OptionError: a key, content hash, stamp or source that a record cannot hold.
            StoreReadOnly: the store was opened for reading.
        """
        return self._require_writable().append(rows, records)

    def remove(self, ids: Iterable[int] | Ids) -> None:
        """Give rows a tombstone; a row that has one already keeps it.

        Raises:
            MissingRow: an id that the store does not hold; then nothing is removed.
            StoreReadOnly: the store was opened for reading.
        """
        self._require_writable().remove(ids)

    def rename(self, id: int, key: bytes, stamp: bytes) -> None:  # noqa: A002 - the field's name
        """Give a live row another key and stamp; a live row that held that key gets a tombstone.

        Raises:
            MissingRow: the store does not hold ``id``, or it has a tombstone.
            OptionError: a key or stamp that a record cannot hold.
            StoreReadOnly: the store was opened for reading.
        """
        self._require_writable().rename(id, key, stamp)

    def restamp(self, id: int, stamp: bytes) -> None:  # noqa: A002 - the field's name
        """Give a live row another stamp; raises as `rename` does."""
        self._require_writable().restamp(id, stamp)

    def set_columns(self, id: int, data: bytes) -> None:  # noqa: A002 - the field's name
        """Give a live row other columns, or none; raises as `rename` does."""
        self._require_writable().set_columns(id, data)

    def commit(self) -> None:
        """Make all that waits durable and visible, in one step.

        The rows go to `rerank.f16` first; then one LMDB transaction holds everything, and its count is the truth. A
        process killed before its end has changed nothing. When this raises, the changes still wait.

        Raises:
            StoreFull: no space left; the last commit stays.
            StoreLocked: another process has written, or the writer's lock was lost.
            StoreReadOnly: the store was opened for reading, or cannot be written any more.
        """
        writer = self._require_writable()
        writer.commit()
        self._dead, self._count = writer.dead, len(writer.dead)

    # Reading

    def find(self, key: bytes) -> int | None:
        """Return the id of the live row with this key, or None."""
        found = record_by_key(self._environment, key)
        if found is None:
            return None
        number, packed = found
        if number >= self._count or self._dead[number]:
            return None
        if packed is None or key_of(number, packed) != key:
            self._require_key(key, number, key_of(number, self._whole(number, packed)))  # raises
        return number

    def find_record(self, key: bytes) -> Record | None:
        """Return the record of the live row with this key, or None."""
        found = record_by_key(self._environment, key)
        return None if found is None else self._checked_record(key, *found)

    def find_records(self, keys: Sequence[bytes]) -> list[Record | None]:
        """Return the records of the live rows with these keys, in their order, None for those without; as of one moment."""
        return [
            None if found is None else self._checked_record(key, *found)
            for key, found in zip(keys, records_by_key(self._environment, keys), strict=True)
        ]

    def _checked_record(self, key: bytes, number: int, packed: bytes | None) -> Record | None:
        """Return the record that a key leads to, if this store shows it."""
        if not self.shows(number):
            return None
        record = unpack_record(number, self._whole(number, packed))
        self._require_key(key, number, record.key)
        return record

    def shows(self, number: int) -> bool:
        """Say whether there is a row of this id without a tombstone."""
        return 0 <= number < self._count and not self._dead[number]

    def _whole(self, number: int, packed: bytes | None) -> bytes:
        if packed is None:
            raise missing(self._environment, number)
        return packed

    def _require_key(self, key: bytes, number: int, own: bytes) -> None:
        if own != key:
            raise StoreCorrupt(
                f"{self._environment.path}: a key leads to row {number}, which has another; run `verify`"
            )

    def find_content(self, content: bytes) -> Ids:
        """Return the ids of the live rows with this content hash, ascending; none for an empty one."""
        found = self.find_contents([content]) if content else {}
        return np.array(found.get(content, []), np.int64)

    def find_contents(self, contents: Iterable[bytes]) -> dict[bytes, list[int]]:
        """Return the ids of the live rows with each of a few content hashes, ascending; contents without are left out.

        Of a store opened for reading they are looked up once: its rows and tombstones stay. Do not change the lists.
        """
        known = self._copies if self._writer is None else {}
        if len(known) > _COPIES:
            known.clear()
        live = {content: known.get(content) for content in contents}
        if unknown := [content for content, ids in live.items() if ids is None]:
            count, dead = self._count, self._dead
            found = ids_of_contents(self._environment, unknown)
            for content in unknown:
                own = [number for number in found.get(content, ()) if number < count and not dead[number]]
                live[content] = known[content] = own if len(own) < 2 else sorted(set(own))
        return {content: ids for content, ids in live.items() if ids}

    def record(self, id: int) -> Record:  # noqa: A002 - the field's name
        """Return a row's record, a tombstoned row's too.

        Raises:
            MissingRow: the store does not hold ``id``.
        """
        return self.records([id])[0]

    def records(self, ids: Iterable[int] | Ids) -> list[Record]:
        """Return the records of rows, in their order, tombstoned ones too.

        Raises:
            MissingRow: the store does not hold one of the ids.
            StoreCorrupt: a record is missing.
        """
        numbers: list[int] = ids.tolist() if isinstance(ids, np.ndarray) else [int(number) for number in ids]
        if numbers and not (min(numbers) >= 0 and max(numbers) < self._count):
            for number in numbers:
                require(self.directory, number, self._count)
        return records_of(self._environment, numbers)

    def columns(self, ids: Iterable[int] | Ids) -> list[bytes]:
        """Return the columns of rows, in their order, as they are now; empty for rows without.

        Raises:
            MissingRow: the store does not hold one of the ids.
            StoreCorrupt: they are not what was written.
        """
        numbers: list[int] = ids.tolist() if isinstance(ids, np.ndarray) else [int(number) for number in ids]
        for number in numbers:
            require(self.directory, number, self._count)
        return columns_of(self._environment, numbers)

    def scan_columns(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield ids and columns of the rows from ``start`` on that have some, tombstoned ones too, ascending by id.

        Raises:
            StoreCorrupt: they are not what was written.
        """
        return scan_columns(self._environment, start, self._count)

    def wrong_columns(self) -> Iterator[int]:
        """Yield the ids under which there are columns that nobody wrote so; a whole store has none."""
        return wrong_columns(self._environment, self._count)

    @property
    def column_changes(self) -> int:
        """How many commits have changed the columns of a stored row: a table of columns made before is then out of date."""
        return changes_of(self._environment)

    def scan(self) -> Iterator[Record]:
        """Yield the live records, ascending by id: the rows of this moment, whatever is committed meanwhile."""
        count, dead = self._count, self._dead
        for start in range(0, count, _SCAN):
            stop = min(start + _SCAN, count)
            packed = packed_records(self._environment, start, stop - start)
            flags = dead[start:stop].tolist()
            for number, (data, deleted) in enumerate(zip(packed, flags, strict=True), start):
                if not deleted:
                    yield unpack_record(number, data)

    def packed(self, *, source: int | None = None) -> Iterator[tuple[Ids, list[bytes]]]:
        """Yield ids ``(b,)`` and packed records of live rows, ascending by id: what `scan` unpacks.

        Args:
            source: only rows that the source of this number made; None for all.
        """
        for start in range(0, self._count, _SCAN):
            records = packed_records(self._environment, start, min(_SCAN, self._count - start))
            live = np.flatnonzero(~self._dead[start : start + len(records)])  # (b,)
            if len(live) < len(records):
                records = [records[place] for place in live.tolist()]
            own = None if source is None else of_source(records, source)
            if own is not None:
                live, records = live[own], [records[place] for place in own]
            yield live + start, records

    def keys(self, start: int = 0) -> Iterator[bytes]:
        """Yield the keys of all rows from ``start`` on, tombstoned ones too, ascending by id."""
        count = self._count
        for first in range(start, count, _SCAN):
            packed = packed_records(self._environment, first, min(first + _SCAN, count) - first)
            for number, data in enumerate(packed, first):
                yield key_of(number, data)

    def not_found_by_key(self) -> Iterator[int]:
        """Yield the rows, live at the moment they are looked at, whose keys do not lead to them; a whole store has none."""
        for start in range(0, self._count, _SCAN):
            yield from not_found_by_key(self._environment, start, min(_SCAN, self._count - start))

    def not_found_by_content(self) -> Iterator[int]:
        """Yield the rows, live at the moment they are looked at, whose content hash does not lead to them; a whole store has none."""
        for start in range(0, self._count, _SCAN):
            yield from not_found_by_content(self._environment, start, min(_SCAN, self._count - start))

    @property
    def block_rows(self) -> int:
        """Rows in a block, the last one excepted."""
        return rows_per_block(self.dim)

    def block_sum(self, number: int) -> bytes | None:
        """Return the checksum that was kept of a block of rows; None for one of an older version."""
        return block_sum(self._environment, number)

    @property
    def behind(self) -> bool:
        """Whether changes were committed that this store, opened for reading, does not show."""
        return self._behind or self._environment.commits != self._commit

    @property
    def renames(self) -> int:
        """How many commits have changed the key of a stored row: a table of keys made before is then out of date."""
        return renames_of(self._environment)

    def rows(self, start: int, stop: int) -> NDArray[np.float16]:
        """Return rows ``start`` to ``stop`` ``(n, d)`` float16, tombstoned ones included; a fresh array.

        Raises:
            MissingRow: not within ``0 <= start <= stop <= count``.
            StoreCorrupt: a block is missing or short.
        """
        if not 0 <= start <= stop <= self._count:
            raise MissingRow(
                f"{self.directory}: rows {start} to {stop} are not among the {self._count:,} rows"
            )
        return rows_of(self._environment, start, stop, dim=self.dim, checked=self._checked)

    def blocks(self, rows: int = 16384) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Yield the first id and the rows ``(b, d)`` float16 of consecutive blocks, tombstoned rows included.

        Args:
            rows: rows in a block, ``b``; the last one has fewer.
        """
        count = self._count
        for start in range(0, count, rows):
            yield start, self.rows(start, min(start + rows, count))

    def tombstones(self) -> Bitmap:
        """Return ``(count,)`` flags, set where a row was removed or superseded; a copy."""
        return self._dead.copy()

    # Inside

    def _require_writable(self) -> Writer:
        if self._closed:
            raise self._is_closed()
        if self._writer is None:
            raise StoreReadOnly(
                f"{self.directory}: the store was opened for reading; open it with writable=True"
            )
        return self._writer

    @property
    def _environment(self) -> Environment:
        """The environment, which others in this process may share and go on with once this store is closed."""
        if self._closed:
            raise self._is_closed()
        return self._shared

    def _is_closed(self) -> StoreClosed:
        return StoreClosed(f"{self.directory}: the store is closed; open it again")

    def close(self) -> None:
        """Close the store; what was not committed is dropped. Closing twice does nothing, using it afterwards is an error."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._collected.detach()
                release(self._shared)

    def __exit__(self, *_error: object) -> None:
        self.close()


def _begin(meta: Mapping[bytes, bytes], txn: lmdb.Transaction[bytes], databases: Databases) -> None:
    for name, value in meta.items():
        txn.put(name, value, db=databases[b"meta"])
    put_facts(txn, databases)

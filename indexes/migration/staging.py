"""Store the new space's rows beside the old store during an upgrade.

A `VectorStore` of its own whose keys are the collection's ids, so that it commits, resumes and survives a kill as every
store does. An index over many rows lies beside them. Each row has a state: *kept* ones (a sample that was encoded to fit a map) wait, *served* ones (encoded again,
or added since the change began) answer queries as soon as a generation lists them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from indexes import forks
from indexes.derivation import derive, publish_tail
from indexes.engine import factory_strings
from indexes.errors import StoreCorrupt
from indexes.files import (
    limit_reached,
    make_directories,
    move,
    parsed,
    partial_of,
    remove_tree,
    sync_directory,
    write_array,
    writing,
)
from indexes.store import NewRow, Record, VectorStore, WriterLock, pack_id, unpack_id
from indexes.vectors import Bitmap, Ids, Space

KEPT: Final = b"k"
SERVED: Final = b"s"
ADDED: Final = b"a"

INDEXED = 5_000
"""Rows from which they get an index; comparing fewer costs no more than a query that finds a large gallery through one."""

_KIND = "ivfrabitq"
_UNROTATED = 256
"""Dimensions beyond which rows get codes without a rotation, where a cheap one (of a power of two) does not fit.

Of 1,280-d photographs a query took 707 µs with a rotation and 321 µs without one, at equal recall, where other work had used the
caches meanwhile (206 and 121 µs where none had); the shortlist was twice as long. Below, rotations are small.
"""

_WAITING, _WAITING_SHARE = (
    250,
    200,
)  # rows that may wait outside it: so many, or one of so many if that is more

_WHOLE = 100_000
"""Rows up to which none has to wait: adding some to the index and writing it takes about a second then."""

ROWS_OF = "rows_of.npy"
"""File of a generation: ``(count,)`` int64, the staged row that answers for each id, -1 where the old one does."""

ADDED_IDS = "added.npy"
"""File of a generation: ``(a,)`` int64, the ids that were added since: their old row is only what the map expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A row in the staging store: its position, its state, the content hash of the file that was encoded."""

    row: int
    state: bytes
    content: bytes


class Staging(forks.Unshared, AbstractContextManager["Staging"]):
    """The staging store of one change of the encoder, opened for writing; a context manager.

    Attributes:
        store: the rows; the key of each is a collection's id.
    """

    def __init__(self, store: VectorStore) -> None:
        self.store = store

    @classmethod
    def open(cls, directory: str | os.PathLike[str], *, dim: int, lock: WriterLock | None = None) -> Staging:
        """Open the staging store in ``directory``, or make one.

        Raises:
            ShapeError: it holds rows of another width.
            StoreReadOnly, StoreFull: it cannot be written.
        """
        home = Path(directory)
        if not VectorStore.exists(home):
            with writing(home):
                make_directories(home)
            return cls(VectorStore.create(home, dim=dim, lock=lock))
        return cls(VectorStore.open(home, dim=dim, writable=True, lock=lock))

    def append(self, ids: Iterable[int] | Ids, rows: Any, contents: Sequence[bytes], *, state: bytes) -> None:
        """Add a row for each id; one that the id had already is superseded. `commit` makes it durable.

        Args:
            ids: ``(n,)``.
            rows: ``(n, d)`` unit rows.
            contents: the files' content hashes.
            state: `KEPT`, `SERVED` or `ADDED`.
        """
        records = [
            NewRow(key=pack_id(int(number)), content=content, stamp=state)
            for number, content in zip(ids, contents, strict=True)
        ]
        self.store.append(rows, records)

    def serve(self, number: int, *, added: bool = False) -> None:
        """Let the row that was kept for an id answer queries; ``added``: the old space has none for it."""
        row = self.store.find(pack_id(number))
        if row is not None:
            self.store.restamp(row, ADDED if added else SERVED)

    def find(self, number: int) -> Staged | None:
        """Return what is committed for an id."""
        row = self.store.find(pack_id(number))
        if row is None:
            return None
        record = self.store.record(row)
        return Staged(row=row, state=record.stamp, content=record.content)

    def holds(self, record: Record) -> bool:
        """Say whether a row is committed for a record of the collection, made from the same bytes."""
        staged = self.find(record.id)
        return staged is not None and (not record.content or staged.content == record.content)

    def row(self, number: int) -> NDArray[np.float16] | None:
        """Return the row ``(1, d)`` that is committed for an id."""
        row = self.store.find(pack_id(number))
        return None if row is None else self.store.rows(row, row + 1)

    def drop_from(self, count: int) -> None:
        """Forget rows for ids that the collection does not hold: a killed writer had got no further."""
        stray = [record.id for record in self.store.scan() if unpack_id(record.key) >= count]
        if stray:
            self.store.remove(stray)
            self.store.commit()

    def rows_of(self, count: int, *, states: frozenset[bytes] = frozenset({SERVED, ADDED})) -> Ids:
        """Return ``(count,)`` int64: the committed row of each id that is in one of the states, else -1."""
        return self.tables(count, states=states)[0]

    def tables(self, count: int, *, states: frozenset[bytes] = frozenset({SERVED, ADDED})) -> tuple[Ids, Ids]:
        """Return what `rows_of` does, and the ids, ascending, that were added since the change began.

        Those have no row of the old space: the one that stands there is what the map expects.
        """
        table = np.full(count, -1, dtype=np.int64)
        added = np.zeros(count, dtype=np.bool_)
        for record in self.store.scan():
            number = unpack_id(record.key)
            if number < count and record.stamp in states:
                table[number] = record.id
                added[number] = record.stamp == ADDED
        return table, np.flatnonzero(added)

    def commit(self) -> None:
        """Make what was asked for durable."""
        self.store.commit()

    def index(self, space: Space, *, briefly: bool = False, whole: bool = False) -> None:
        """Index the committed rows once they are many, so that queries need not compare all of them.

        The index lies beside the rows and grows with them, as a collection's does. Publish after it what lists the rows.

        Args:
            space: of the rows.
            briefly: leave newer rows to be compared, and train nothing.
            whole: let none wait outside it, as long as writing it takes about a second.
        """
        if self.store.live < INDEXED:
            return
        if briefly:
            publish_tail(self.store.directory, self.store, space=space, encoder=None)
        else:
            # A query in the middle of a change searches two indexes; so fewer rows wait than elsewhere.
            waiting = max(_WAITING, self.store.live // _WAITING_SHARE)
            if whole and self.store.live <= _WHOLE:
                waiting = 0
            kind = _kind_of(self.store.live, space.dim)
            derive(self.store.directory, self.store, space=space, encoder=None, kind=kind, waiting=waiting)

    def close(self) -> None:
        """Close the store; what was not committed is dropped."""
        self.store.close()

    def __exit__(self, *_error: object) -> None:
        self.close()


def _kind_of(rows: int, dim: int) -> str:
    """Return which index so many rows get."""
    if dim <= _UNROTATED or not dim & (dim - 1):
        return _KIND
    # A power of two stays the same until rows are four times as many; with it the index would be trained again.
    lists = 1 << (factory_strings.lists_for(rows).bit_length() - 1)
    return f"IVF{lists},RaBitQfs"


def write_rows_of(prepared: Path, table: Ids, added: Ids) -> None:
    """Write into a generation which staged row answers for each id, and which ids were added since."""
    for name, array in ((ROWS_OF, table), (ADDED_IDS, added)):
        with (prepared / name).open("wb") as file:
            write_array(file, array)


def read_added(generation: Path) -> Ids:
    """Read which ids were added since the change began.

    Raises:
        StoreCorrupt: missing or not readable.
    """
    path = generation / ADDED_IDS
    try:
        return np.asarray(parsed(lambda: np.load(path, allow_pickle=False)), dtype=np.int64)
    except Exception as error:  # numpy's parser raises what it likes
        raise limit_reached(error, path) or StoreCorrupt(
            f"{path}: not readable ({error}); restore it from a backup"
        ) from error


def read_rows_of(generation: Path, *, count: int) -> Ids:
    """Read what `write_rows_of` wrote, mapped.

    Raises:
        StoreCorrupt: missing, or not one entry an id.
    """
    path = generation / ROWS_OF
    try:
        table = parsed(lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # numpy's parser raises what it likes
        raise limit_reached(error, path) or StoreCorrupt(
            f"{path}: not readable ({error}); run `backfill(count=0)`"
        ) from error
    if table.shape != (count,) or table.dtype != np.int64:
        raise StoreCorrupt(f"{path}: {table.shape} {table.dtype}, expected ({count},) int64")
    return np.asarray(table)


def assemble(
    place: Path,
    *,
    source: VectorStore,
    rows: Any,
    dead: Bitmap,
    dim: int,
    lock: WriterLock | None = None,
) -> VectorStore:
    """Make a store with the same ids, records and columns as another, but other rows; whole or not at all.

    Args:
        place: its directory; what lies there is removed first.
        source: the store whose records it takes over.
        rows: a function of ascending ids ``(n,)`` that returns their ``(n, dim)`` float16 unit rows; asked for live rows.
        dead: ``(count,)`` flags: rows that get a tombstone; their ids stay taken.
        dim: width of the rows.
        lock: checked before every commit.
    Returns:
        the store, opened for writing.
    """
    partial = partial_of(place)
    with writing(place):
        remove_tree(partial)
        remove_tree(place)
        make_directories(partial)
    with VectorStore.create(partial, dim=dim, lock=lock) as store:
        extend(store, source=source, rows=rows, dead=dead)
    with writing(place):
        sync_directory(partial)
        move(partial, place)
    return VectorStore.open(place, dim=dim, writable=True, lock=lock)


def extend(store: VectorStore, *, source: VectorStore, rows: Any, dead: Bitmap) -> None:
    """Append to a store what another holds beyond it: the same ids, records and columns, other rows; committed in blocks.

    Args:
        store: opened for writing; its ids are the first of ``source``.
        source, rows, dead: as for `assemble`; asked for ids from ``store.count`` on.
    """
    blank = np.zeros((1, store.dim), dtype=np.float16)
    blank[0, 0] = 1  # a tombstoned row has to be some unit row
    for start in range(store.count, source.count, _BLOCK):
        ids = np.arange(start, min(start + _BLOCK, source.count))
        deleted = dead[ids]
        block: Any = np.repeat(blank, len(ids), axis=0)
        block[~deleted] = rows(ids[~deleted])
        # A dead row may have had the key of a live one; it gets a key that no file can have.
        records = [
            NewRow(key=b"\0" + pack_id(record.id))
            if flag
            else NewRow(
                key=record.key,
                content=record.content,
                stamp=record.stamp,
                source=record.source,
                columns=columns,
            )
            for record, columns, flag in zip(source.records(ids), source.columns(ids), deleted, strict=True)
        ]
        store.append(block, records)
        store.remove(ids[deleted])
        store.commit()


_BLOCK = 16_384

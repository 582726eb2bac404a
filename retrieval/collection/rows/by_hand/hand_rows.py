"""Add, replace and delete single rows by hand in a store that is open for writing."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from indexes.store import CommitPace, NewRow
from indexes.vectors import row_ids
from retrieval.collection.rows.by_hand.row_sources import is_by_hand
from retrieval.collection.rows.inputs import shown_key
from retrieval.errors import MissingRow, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from indexes.store import Record, VectorStore
    from indexes.vectors import Halves, Ids

COMMIT_BYTES = 256 << 20
"""Of vectors that may wait. A commit touches most pages of the tables that are ordered by hashes, so few large ones write less."""


_AT_ONCE = 4096  # keys looked up in one snapshot


class Held(NamedTuple):
    """The row that has a key."""

    id: int
    content: bytes
    by_hand: bool


class HandRows:
    """The rows that were made by hand, as they will be once all that waits is committed.

    A store's own reads show what is committed; this remembers what waits besides, so that a key that was added a moment
    ago is taken.

    Args:
        store: open for writing.
        source: number of their source.
        origin: says where rows of another source come from, by its number, for messages.
        first: the id that callers have for the store's first row: that of a shard's rows is none of the store's.
    Attributes:
        added, updated, unchanged, deleted: how many rows were new; got another vector; had it already; were deleted.
    """

    added: int
    updated: int
    unchanged: int
    deleted: int

    def __init__(
        self, store: VectorStore, *, source: int, origin: Callable[[int], str], first: int = 0
    ) -> None:
        self._store, self._source, self._origin, self._first = store, source, origin, first
        self._pace = CommitPace(store, rows=max(1, COMMIT_BYTES // (2 * store.dim)))
        self._next = first + store.count
        self._waiting: dict[bytes, Held | None] = {}  # None: deleted
        self._waiting_keys: dict[int, bytes] = {}
        self._waiting_columns: dict[int, bytes] = {}
        self._live = store.live
        self.added = self.updated = self.unchanged = self.deleted = 0

    @property
    def written(self) -> int:
        """How many rows were added or updated."""
        return self.added + self.updated

    @property
    def live(self) -> int:
        """How many rows without a tombstone there will be, those of other sources too."""
        return self._live + self.added - self.deleted

    @property
    def count(self) -> int:
        """How many rows of the store there will be, deleted ones too."""
        return self._next - self._first

    def next_ids(self, count: int) -> list[int]:
        """Return the ids that the next new rows get."""
        return list(range(self._next, self._next + count))

    def checked_ids(self, ids: Any, *, where: object) -> Ids:
        """Return ids that callers give as ``(m,)`` int64; takes and raises what `indexes.vectors.row_ids` does."""
        return row_ids(ids, count=self._next, where=where)

    def require_new(self, keys: Iterable[bytes]) -> None:
        """Refuse keys that rows have already.

        Raises:
            OptionError: one is taken; the message names it.
        """
        for number, (key, held) in enumerate(self.holders(keys), start=1):
            if held is not None:
                self.refuse_taken(number, key, held)

    def require_own(self, keys: Iterable[bytes]) -> None:
        """Refuse keys that rows of another source have.

        Raises:
            OptionError: one belongs to a row of a source; the message names both.
        """
        for number, (key, held) in enumerate(self.holders(keys), start=1):
            if held is not None:
                self.require_by_hand(number, key, held)

    def put(
        self,
        rows: Halves,
        keys: Sequence[bytes],
        contents: Sequence[bytes] | None = None,
        columns: Sequence[bytes] | None = None,
    ) -> list[int]:
        """Add rows, or replace those of the same keys; a row that is there already stays.

        Args:
            rows: ``(n, d)`` unit rows, which stay as they are until the next commit.
            keys: distinct ones, none of another source.
            contents: hashes of what the vectors were made of; None for those of the vectors themselves.
            columns: packed ones, which replace those of a row that is there; None for those that it has.
        Returns:
            the rows' ids, in order.
        """
        contents = [content_of_vector(row) for row in rows] if contents is None else contents
        again = self._store.count > 0 or bool(self._waiting)  # in an empty store every key is new
        ids: list[int] = []
        new: list[int] = []
        known: dict[int, bytes] = {}  # columns of rows that are replaced
        holders = self.holders(keys) if again else ((key, None) for key in keys)
        for place, ((_, held), content) in enumerate(zip(holders, contents, strict=True)):
            if held is not None and held.content == content:
                if columns is not None:
                    self._recolumn(held.id, columns[place])
                ids.append(held.id)
                self.unchanged += 1
                continue
            known[place] = b"" if held is None else self._columns(held.id)
            self.updated += held is not None
            self.added += held is None
            ids.append(self._next + len(new))
            new.append(place)
        if new:
            chosen = rows if len(new) == len(rows) else rows[new]
            self._store.append(
                chosen,
                [
                    NewRow(
                        key=keys[place],
                        content=contents[place],
                        source=self._source,
                        columns=known[place] if columns is None else columns[place],
                    )
                    for place in new
                ],
            )
            for place in new:
                self._waiting_columns[self._next] = known[place] if columns is None else columns[place]
                self._wait(keys[place], Held(self._next, contents[place], by_hand=True))
                self._waiting_keys[self._next] = keys[place]
                self._next += 1
        return ids

    def delete(self, rows: Mapping[int, bytes]) -> None:
        """Delete rows by their ids and keys, which `of_keys`, `of_ids` or `rows_by_hand` gave."""
        for key in rows.values():
            self._wait(key, None)
        self._store.remove([number - self._first for number in rows])
        self.deleted += len(rows)

    def of_keys(self, keys: Iterable[bytes]) -> dict[int, bytes]:
        """Return the ids and keys of the rows that have these keys.

        Raises:
            MissingRow: no row has one of them.
            OptionError: one belongs to a row of a source.
        """
        return {
            self.own_id(number, key, held): key for number, (key, held) in enumerate(self.holders(keys), 1)
        }

    def of_ids(self, ids: Ids) -> dict[int, bytes]:
        """Return some ids and their keys, if they are live rows that were made by hand.

        Raises:
            MissingRow: a row was deleted or replaced.
            OptionError: one belongs to a row of a source.
        """
        rows: dict[int, bytes] = {}
        for number, key, held in self._held_by(list(dict.fromkeys(ids.tolist()))):
            if held is None or held.id != number:
                raise MissingRow(
                    f"row {number} ({shown_key(key)}) was deleted or replaced; nothing was deleted"
                )
            self.require_by_hand(0, key, held)
            rows[number] = key
        return rows

    def refuse_taken(self, number: int, key: bytes, held: Held) -> NoReturn:
        """Refuse a new row whose key a row has; ``number`` counts the keys that were given."""
        self.require_by_hand(number, key, held)
        raise OptionError(
            f"key {number} ({shown_key(key)}) is taken by row {held.id}; nothing was added. "
            "Choose another key, or replace that row with `upsert`"
        )

    def require_by_hand(self, number: int, key: bytes, held: Held) -> None:
        """Refuse to change a row of a source; ``number`` counts the keys that were given, 0 where ids were."""
        if held.by_hand:
            return
        what = f"key {number} ({shown_key(key)})" if number else f"row {held.id} ({shown_key(key)})"
        source = self._store.record(held.id - self._first).source
        raise OptionError(
            f"{what} belongs to {self._origin(source)} (row {held.id}), which only `build_index` changes; "
            "nothing was written. Choose another key, or change the file and build"
        )

    def own_id(self, number: int, key: bytes, held: Held | None) -> int:
        """Return the row by hand that has a key; raises as `of_keys` does."""
        if held is None:
            ids = "; ids of rows are given as `ids`" if key.isdigit() else ""
            raise MissingRow(
                f"key {number} ({shown_key(key)}): the collection has no such row; nothing was deleted{ids}"
            )
        self.require_by_hand(number, key, held)
        return held.id

    def rows_by_hand(self) -> Iterator[tuple[int, bytes]]:
        """Yield the ids and keys of the committed rows that were made by hand."""
        return (
            (self._first + record.id, record.key)
            for record in self._store.scan()
            if is_by_hand(record, self._source)
        )

    def commit(self) -> None:
        """Make all that waits durable."""
        self._pace.commit()
        self._forget()

    def commit_if_due(self) -> None:
        """Commit if some seconds have passed since the last time, or much waits."""
        if self._pace.commit_if_due():
            self._forget()

    def _columns(self, number: int) -> bytes:
        """Return the columns of a row, one that waits too."""
        waiting = self._waiting_columns.get(number)
        return self._store.columns([number - self._first])[0] if waiting is None else waiting

    def _recolumn(self, number: int, columns: bytes) -> None:
        if columns != self._columns(number):
            self._store.set_columns(number - self._first, columns)
            self._waiting_columns[number] = columns

    def _forget(self) -> None:
        self._waiting.clear()
        self._waiting_keys.clear()
        self._waiting_columns.clear()

    def _wait(self, key: bytes, held: Held | None) -> None:
        self._waiting[key] = held

    def holders(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, Held | None]]:
        """Yield keys with the row that has each, None where none has; many are looked up at once."""
        stream = iter(keys)
        while block := list(islice(stream, _AT_ONCE)):
            for key, record in zip(block, self._store.find_records(block), strict=True):
                if key in self._waiting:
                    yield key, self._waiting[key]
                else:
                    yield key, None if record is None else self._held(record)

    def _held(self, record: Record) -> Held:
        return Held(self._first + record.id, record.content, is_by_hand(record, self._source))

    def _held_by(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes, Held | None]]:
        """Yield ids with the key that each row has, or had, and the row that has that key now; many are read at once."""
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            stored = [number for number in some if number not in self._waiting_keys]
            records = self._store.records([number - self._first for number in stored])
            known = dict(zip(stored, records, strict=True))
            for number in some:
                record = known.get(number)
                key = self._waiting_keys[number] if record is None else record.key
                if key in self._waiting:
                    yield number, key, self._waiting[key]
                elif record is not None and self._store.shows(record.id):
                    yield number, key, self._held(record)
                else:
                    yield number, key, None


def content_of_vector(row: Halves) -> bytes:
    """Return the hash by which a stored vector ``(d,)`` is known again."""
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()

"""Find rows by digests: those of their keys, and hashes of their contents.

A store begins with a tree of each. Once it is large new digests go into runs (`indexes.store.tables.digest_runs`), and the trees stay as
they are. Runs and such trees keep digests that rows no longer have, so each row found is asked for its tombstone and its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar

import lmdb

from indexes.errors import StoreCorrupt
from indexes.store.lmdb import Databases, Environment
from indexes.store.tables import digest_runs
from indexes.store.tables.digest_runs import RUNS
from indexes.store.tables.pending import FORMAT, TOMBSTONES_PER_CHUNK
from indexes.store.tables.records import key_digest, key_of, pack_id, unpack_id, unpack_record
from indexes.store.tables.tables import dead_in, packed_in

T = TypeVar("T")

_WITH_RUNS: Final = pack_id(FORMAT)
"""The format, as its fact is kept, from which a store keeps runs."""


class _Absent:
    """The store keeps runs by now, and their database is not at hand."""


_ABSENT: Final = _Absent()


def holders(environment: Environment, digests: Sequence[bytes]) -> dict[bytes, int]:
    """Return which ids the digests of keys lead to; those that lead nowhere are left out."""
    return _read(environment, partial(_holders, digests, checked=environment.checked))


def records_by_key(environment: Environment, keys: Sequence[bytes]) -> list[tuple[int, bytes | None] | None]:
    """Return the ids that the digests of keys lead to, and the packed records there, in one snapshot; None for those that lead nowhere."""
    digests = [key_digest(key) for key in keys]

    def read(
        txn: lmdb.Transaction[bytes], databases: Databases
    ) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        ids = {
            digest: pack_id(number)
            for digest, number in _holders(digests, txn, databases, checked=environment.checked).items()
        }
        return ids, dict(txn.cursor(databases[b"records"]).getmulti(list(ids.values())))

    ids, records = _read(environment, read)
    found = [ids.get(digest) for digest in digests]
    return [None if packed is None else (unpack_id(packed), records.get(packed)) for packed in found]


def record_by_key(environment: Environment, key: bytes) -> tuple[int, bytes | None] | None:
    """Return what `records_by_key` does for one key, in less time."""
    digest = key_digest(key)

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> tuple[bytes, bytes | None] | None:
        if RUNS in databases:
            number = _holders([digest], txn, databases, checked=environment.checked).get(digest)
            packed = None if number is None else pack_id(number)
        else:
            packed = txn.get(digest, db=databases[b"keys"])
        return None if packed is None else (packed, txn.get(packed, db=databases[b"records"]))

    found = _read(environment, read)
    return None if found is None else (unpack_id(found[0]), found[1])


def ids_of_contents(environment: Environment, contents: Iterable[bytes]) -> dict[bytes, list[int]]:
    """Return the ids that each of a few content hashes leads to, in any order, in one snapshot.

    Rows with a tombstone may be among them, and one row twice: whoever asks knows which rows its own snapshot shows.
    """
    wanted = list(contents)  # a read may be tried again

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> dict[bytes, list[int]]:
        return _ids_of_contents(wanted, txn, databases, checked=environment.checked)

    return _read(environment, read)


def not_found_by_key(environment: Environment, start: int, number: int) -> list[int]:
    """Return the live rows, of ``number`` from ``start`` on, whose keys do not lead to them.

    One snapshot: a row, its tombstone and its key are those of one moment, whatever others commit.

    Raises:
        StoreCorrupt: records are missing.
    """
    stop = start + number

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> list[int]:
        packed = packed_in(environment.path, start, number, txn, databases)
        digests = [key_digest(key_of(row, data)) for row, data in enumerate(packed, start)]
        found = _holders(digests, txn, databases)
        dead = dead_in(start, stop, txn, databases)
        rows = zip(range(start, stop), digests, dead, strict=True)
        return [row for row, digest, deleted in rows if not deleted and found.get(digest) != row]

    return _read(environment, read)


def not_found_by_content(environment: Environment, start: int, number: int) -> list[int]:
    """Return the live rows, of ``number`` from ``start`` on, whose content hashes do not lead to them; as `not_found_by_key`."""

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> list[int]:
        dead = dead_in(start, start + number, txn, databases)
        cursor = txn.cursor(databases[b"contents"])
        records = enumerate(packed_in(environment.path, start, number, txn, databases), start)
        contents = [(row, unpack_record(row, data).content) for row, data in records]
        if RUNS in databases:
            found = _ids_of_contents({content for _, content in contents if content}, txn, databases)
            return [
                row
                for (row, content), deleted in zip(contents, dead, strict=True)
                if content and not deleted and row not in found.get(content, ())
            ]
        return [
            row
            for (row, content), deleted in zip(contents, dead, strict=True)
            if content and cursor.set_key_dup(content, pack_id(row)) == deleted
        ]

    return _read(environment, read)


def room_of_runs(environment: Environment, keys: int, contents: int) -> int:
    """Return about how many bytes of runs a commit adds with so many digests; 0 for a store without runs."""

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> int:
        if RUNS not in databases:
            return 0
        added = ((digest_runs.KEY, keys), (digest_runs.CONTENT, contents))
        return sum(digest_runs.room(txn, databases[RUNS], kind, number) for kind, number in added)

    return _read(environment, read)


def _holders(
    digests: Sequence[bytes],
    txn: lmdb.Transaction[bytes],
    databases: Databases,
    *,
    checked: set[bytes] | None = None,
) -> dict[bytes, int]:
    """Return which ids the digests of keys lead to in a snapshot; those that lead nowhere are left out.

    A store with runs keeps digests that rows no longer have, in its tree as well; of all that a digest leads to, one row at
    most has no tombstone and still this key.
    """
    found = {digest: unpack_id(data) for digest, data in txn.cursor(databases[b"keys"]).getmulti(digests)}
    if RUNS not in databases:
        return found
    candidates = digest_runs.find(txn, databases[RUNS], digest_runs.KEY, digests, checked)
    for digest, number in found.items():
        candidates.setdefault(digest, []).append(number)
    held: dict[bytes, int] = {}
    for digest, numbers in candidates.items():
        for number in numbers:
            if not _is_dead(number, txn, databases) and _has_key(number, digest, txn, databases):
                held[digest] = number
                break
    return held


def _has_key(number: int, digest: bytes, txn: lmdb.Transaction[bytes], databases: Databases) -> bool:
    """Say whether a row has the key of a digest; one whose record is missing counts, since whoever reads it says so."""
    data = txn.get(pack_id(number), db=databases[b"records"])
    return data is None or key_digest(key_of(number, data)) == digest


def _is_dead(number: int, txn: lmdb.Transaction[bytes], databases: Databases) -> bool:
    """Say whether a row has a tombstone in a snapshot."""
    chunk, place = divmod(number, TOMBSTONES_PER_CHUNK)
    packed = txn.get(pack_id(chunk), b"", db=databases[b"tombstones"])
    return place >> 3 < len(packed) and bool(packed[place >> 3] & 0x80 >> (place & 7))


def _ids_of_contents(
    contents: Iterable[bytes],
    txn: lmdb.Transaction[bytes],
    databases: Databases,
    *,
    checked: set[bytes] | None = None,
) -> dict[bytes, list[int]]:
    """Return what `ids_of_contents` does in a snapshot."""
    cursor = txn.cursor(databases[b"contents"])
    found = {
        content: [unpack_id(value) for value in cursor.iternext_dup()]
        for content in contents
        if cursor.set_key(content)
    }
    if RUNS not in databases:
        return found
    runs = digest_runs.find(txn, databases[RUNS], digest_runs.CONTENT, contents, checked)
    for content, numbers in runs.items():
        found.setdefault(content, []).extend(numbers)
    return found


def _read(environment: Environment, function: Callable[[lmdb.Transaction[bytes], Databases], T]) -> T:
    """Return what a function makes of a snapshot, with the runs at hand if the store keeps some by then."""

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> T | _Absent:
        if RUNS not in databases and environment.without_runs != (commit := txn.id()):
            if txn.get(b"format", b"", db=databases[b"meta"]) >= _WITH_RUNS:
                return _ABSENT
            environment.without_runs = commit
        return function(txn, databases)

    found = environment.read(read)
    while isinstance(found, _Absent):
        if not environment.has_database(RUNS):
            raise StoreCorrupt(f"{environment.path}: its runs of digests are missing; run `verify`")
        found = environment.read(read)
    return found

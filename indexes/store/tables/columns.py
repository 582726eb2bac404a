"""Keep the columns of rows in LMDB: bytes for each id that mean something to the caller, with a checksum.

They lie in a database of their own, which a store has only once a row has columns, and are written in the transaction that
writes the row. A value is the CRC-32 of the id and the bytes, then the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final
from zlib import crc32

import lmdb

from indexes.errors import StoreCorrupt
from indexes.store.lmdb import Databases, Environment
from indexes.store.tables.records import pack_id, unpack_id

COLUMNS: Final = b"columns"
"""The database, and the fact that counts the commits that changed columns of stored rows."""

_SUM: Final = 4
_SCAN: Final = 4096
"""Columns that are read in one snapshot while scanning: a long one would keep the writer from reusing pages."""


def put(
    txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], columns: Mapping[int, bytes], *, first: int
) -> None:
    """Write the columns of some rows; empty ones are deleted.

    Args:
        txn: a write transaction.
        databases: the store's, this one among them.
        columns: by id.
        first: id of the first row that is new; from there on they come after all that are there.
    """
    database = databases[COLUMNS]
    given = [(pack_id(number), _sealed(number, data)) for number, data in sorted(columns.items()) if data]
    start = pack_id(first)
    with txn.cursor(database) as cursor:
        cursor.putmulti([item for item in given if item[0] < start])
        cursor.putmulti([item for item in given if item[0] >= start])
    for number, data in columns.items():
        if not data:
            txn.delete(pack_id(number), db=database)


def columns_of(environment: Environment, numbers: Sequence[int]) -> list[bytes]:
    """Return the columns of rows, in their order; empty for those without.

    Raises:
        StoreCorrupt: they are not what was written.
    """
    if not numbers or not environment.has_database(COLUMNS):
        return [b""] * len(numbers)

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> list[bytes | None]:
        database, get = databases[COLUMNS], txn.get
        return [get(pack_id(number), db=database) for number in numbers]

    found = environment.read(read)
    return [_unsealed(number, data) for number, data in zip(numbers, found, strict=True)]


def scan_columns(environment: Environment, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Yield ids and columns of the rows from ``start`` to ``stop`` that have some, ascending.

    Raises:
        StoreCorrupt: they are not what was written.
    """
    for name, data in _entries(environment, pack_id(start)):
        number = _number(name)
        if number is None or number >= stop:
            return
        yield number, _unsealed(number, data)


def wrong_columns(environment: Environment, count: int) -> Iterator[int]:
    """Yield the ids, of ``count`` rows, under which something lies that was not written there or is not found there."""
    for name, data in _entries(environment, b""):
        number = _number(name)
        found = environment.read(partial(_get, name))
        if (
            number is None
            or number >= count
            or found is None
            or not _fits(number, found)
            or not _fits(number, data)
        ):
            yield -1 if number is None else number


def changes_of(environment: Environment) -> int:
    """Return how many commits have changed the columns of a stored row."""
    data = environment.read(lambda txn, databases: txn.get(COLUMNS, db=databases[b"meta"]))
    return 0 if data is None else unpack_id(data)


def _entries(environment: Environment, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and values from a name on, in short snapshots."""
    if not environment.has_database(COLUMNS):
        return

    def read(start: bytes, txn: lmdb.Transaction[bytes], databases: Databases) -> list[tuple[bytes, bytes]]:
        cursor = txn.cursor(databases[COLUMNS])
        if not (cursor.set_range(start) if start else cursor.first()):
            return []
        return list(islice(cursor.iternext(), _SCAN))

    while found := environment.read(partial(read, start)):
        yield from found
        start = found[-1][0] + b"\0"


def _get(name: bytes, txn: lmdb.Transaction[bytes], databases: Databases) -> bytes | None:
    return txn.get(name, db=databases[COLUMNS])


def _number(name: bytes) -> int | None:
    return unpack_id(name) if len(name) == len(pack_id(0)) else None


def _sealed(number: int, data: bytes) -> bytes:
    return _crc(number, data) + data


def _fits(number: int, data: bytes) -> bool:
    return len(data) > _SUM and data[:_SUM] == _crc(number, data[_SUM:])


def _unsealed(number: int, data: bytes | None) -> bytes:
    if data is None:
        return b""
    if not _fits(number, data):
        raise StoreCorrupt(
            f"vectors.lmdb: the columns of row {number} are not what was written; run `verify`"
        )
    return data[_SUM:]


def _crc(number: int, data: bytes) -> bytes:
    return crc32(data, crc32(pack_id(number))).to_bytes(_SUM, "big")

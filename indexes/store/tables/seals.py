"""Keep checksums of what lies in `vectors.lmdb`: blocks of rows, records, columns, tombstones.

They lie among the store's facts (*meta*), and are checked whenever a block, a bitmap or the facts are read. Records have
theirs in themselves, see `indexes.store.tables.records`; so have columns, see `indexes.store.tables.columns`. A store of a version that wrote none is sealed by its next commit.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import lmdb

from indexes.checksums import digest
from indexes.errors import StoreCorrupt
from indexes.store.tables.records import pack_id, sealed_record, unpack_id

SEALED: Final = b"sealed"
"""The fact that everything has a checksum; its value is that of the other facts."""

BLOCK: Final = b"block:"
CHUNK: Final = b"tombstones:"

_FACTS: Final = (b"format", b"dim", b"count", b"renames")
_LATER: Final = (
    b"columns",
)  # facts that stores of older versions do not have, and whose checksums do not know


def put_block(txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], number: int, data: Any) -> None:
    """Keep the checksum of a block of rows, which the same transaction writes."""
    txn.put(BLOCK + pack_id(number), _sum(data), db=databases[b"meta"])


def put_chunk(txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], number: int, data: bytes) -> None:
    """Keep the checksum of a bitmap of tombstones, which the same transaction writes."""
    txn.put(CHUNK + pack_id(number), _sum(data), db=databases[b"meta"])


def put_facts(txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any]) -> None:
    """Keep the checksum of the store's facts, at the end of the transaction that changes them."""
    facts = {name: txn.get(name, db=databases[b"meta"]) for name in (*_FACTS, *_LATER)}
    txn.put(SEALED, _of_facts(facts), db=databases[b"meta"])


def facts_fit(meta: Mapping[bytes, bytes | None]) -> bool:
    """Say whether the store's facts are those that were written; those of older versions have no checksum."""
    found = meta.get(SEALED)
    return found is None or found == _of_facts(meta)


def block_fits(txn: lmdb.Transaction[Any], databases: Mapping[bytes, Any], number: int, data: Any) -> bool:
    """Say whether a block of rows is what was written; True where no checksum was kept."""
    return _fits(txn.get(BLOCK + pack_id(number), db=databases[b"meta"]), data)


def chunk_fits(txn: lmdb.Transaction[Any], databases: Mapping[bytes, Any], number: int, data: Any) -> bool:
    """Say whether a bitmap of tombstones is what was written; True where no checksum was kept."""
    return _fits(txn.get(CHUNK + pack_id(number), db=databases[b"meta"]), data)


def sum_of_block(txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], number: int) -> bytes | None:
    """Return the checksum that was kept of a block of rows."""
    return txn.get(BLOCK + pack_id(number), db=databases[b"meta"])


def rows_fit(found: bytes | None, data: Any) -> bool:
    """Say whether rows, wherever they lie, are those of a block that has the checksum ``found``."""
    return _fits(found, data)


def seal(txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], path: Path) -> None:
    """Give everything in a store of an older version its checksum; nothing where all have one.

    Raises:
        StoreCorrupt: a record is not one.
    """
    meta = databases[b"meta"]
    if txn.get(SEALED, db=meta) is not None:
        return
    with txn.cursor(databases[b"records"]) as cursor:
        for name, data in cursor:
            try:
                sealed = sealed_record(unpack_id(name), data)
            except IndexError as error:
                raise StoreCorrupt(f"{path}: record {name.hex()} is cut; run `verify`") from error
            if sealed != data:
                cursor.put(name, sealed)
    for name, keep in ((b"blocks", put_block), (b"tombstones", put_chunk)):
        with txn.cursor(databases[name]) as cursor:
            for number, data in cursor:
                keep(txn, databases, unpack_id(number), data)


def _sum(data: Any) -> bytes:
    return bytes.fromhex(digest(data))


def _fits(found: Any, data: Any) -> bool:
    return found is None or bytes(found) == _sum(data)


def _of_facts(facts: Mapping[bytes, bytes | None]) -> bytes:
    known = [facts.get(name) or b"-" for name in _FACTS]
    later = [facts.get(name) or b"" for name in _LATER]
    return zlib.crc32(b"".join(known + later)).to_bytes(4, "little")

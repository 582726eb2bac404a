"""Read the tables of `vectors.lmdb`, each function in one snapshot or several short ones.

Long snapshots would keep the writer from reusing pages, so nothing here holds one while its caller thinks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import lmdb
import numpy as np
from numpy.typing import NDArray

from indexes.distribution import pip_install
from indexes.errors import ManifestTooNew, StoreCorrupt
from indexes.repair_hints import cure_of_store
from indexes.store.lmdb import Databases, Environment
from indexes.store.tables import seals
from indexes.store.tables.columns import COLUMNS
from indexes.store.tables.digest_runs import RUNS
from indexes.store.tables.pending import FORMAT, TOMBSTONES_PER_CHUNK
from indexes.store.tables.records import Record, pack_id, unpack_id, unpack_record
from indexes.vectors import Bitmap

PLAIN: Final = 1
"""The format of a new store, whose records have no sources and no columns; see `indexes.store.tables.pending.FORMAT`."""

NAMES: Final[dict[bytes, dict[str, bool]]] = {
    b"blocks": {},
    b"records": {},
    b"keys": {},
    b"contents": {"dupsort": True, "dupfixed": True},
    b"tombstones": {},
    b"meta": {},
    COLUMNS: {},
    RUNS: {},
}
"""The databases, with LMDB's flags."""

OPTIONAL: Final = frozenset({COLUMNS, RUNS})
"""Those that a store has only once something was written to them."""

FLAGS: Final = {
    name: (4 if flags.get("dupsort") else 0) | (16 if flags.get("dupfixed") else 0)
    for name, flags in NAMES.items()
}
"""The same as LMDB writes them."""


def rows_per_block(dim: int) -> int:
    """Return how many float16 rows make a block: about 1,024, filling whole pages less LMDB's 16-byte header."""
    pages = max(1, round(1024 * 2 * dim / 4096))
    return max(1, (pages * 4096 - 16) // (2 * dim))


def describe(environment: Environment) -> tuple[int, int, Bitmap]:
    """Return the number of the newest commit, the width of the rows, and which have a tombstone, ``(count,)``; in one snapshot.

    Raises:
        ManifestTooNew: a later version wrote the store.
        StoreCorrupt: width or count are not there.
    """
    commit, meta, chunks = environment.read(
        lambda txn, databases: (
            txn.id(),
            _facts(txn, databases[b"meta"]),
            _chunks(txn, databases, environment.path),
        )
    )
    try:
        found, dim, count = (unpack_id(meta[name]) for name in (b"format", b"dim", b"count"))
    except (KeyError, ValueError, ArithmeticError, struct.error) as error:
        raise _unreadable(environment.path, f"not there ({error!r})") from error
    if found > FORMAT:
        raise ManifestTooNew(
            f"{environment.path}: has format {found}, this version reads up to format {FORMAT}; "
            f"install a newer version: {pip_install(options='--upgrade')}"
        )
    if not seals.facts_fit(meta):
        raise _unreadable(environment.path, "not what was written")
    return commit, dim, _flags(((unpack_id(chunk), packed) for chunk, packed in chunks), 0, count)


def _unreadable(path: Path, what: str) -> StoreCorrupt:
    return StoreCorrupt(f"{path}: its format, width and count are {what}; {cure_of_store(path)}")


def _facts(txn: lmdb.Transaction[bytes], meta: Any) -> dict[bytes, bytes]:
    names = (b"format", b"dim", b"count", b"renames", b"columns", seals.SEALED)
    found = {name: txn.get(name, db=meta) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _chunks(
    txn: lmdb.Transaction[bytes], databases: Mapping[bytes, Any], path: Path
) -> list[tuple[bytes, bytes]]:
    chunks = list(txn.cursor(databases[b"tombstones"]))
    for number, packed in chunks:
        if not seals.chunk_fits(txn, databases, unpack_id(number), packed):
            raise StoreCorrupt(f"{path}: its tombstones are not what was written; {cure_of_store(path)}")
    return chunks


def _flags(chunks: Iterable[tuple[int, bytes]], start: int, stop: int) -> Bitmap:
    """Return which rows from ``start`` to ``stop`` have a tombstone ``(n,)``, of the chunks that tell of them."""
    dead = np.zeros(stop - start, np.bool_)  # (n,)
    for chunk, packed in chunks:
        flags = np.unpackbits(np.frombuffer(packed, np.uint8)).view(np.bool_)
        first = chunk * TOMBSTONES_PER_CHUNK
        low, high = max(start, first), min(stop, first + len(flags))
        if low < high:
            dead[low - start : high - start] = flags[low - first : high - first]
    return dead


def renames_of(environment: Environment) -> int:
    """Return how many commits have changed the key of a stored row."""
    data = environment.read(lambda txn, databases: txn.get(b"renames", db=databases[b"meta"]))
    return 0 if data is None else unpack_id(data)


def missing(environment: Environment, number: int) -> StoreCorrupt:
    """Return the error for a row whose record is not there."""
    return StoreCorrupt(f"{environment.path}: the record of row {number} is missing; run `verify`")


def records_of(environment: Environment, numbers: Sequence[int]) -> list[Record]:
    """Return the records of rows, in their order.

    Raises:
        StoreCorrupt: a record is missing.
    """

    def read(txn: lmdb.Transaction[bytes], databases: Databases) -> list[bytes | None]:
        records, get = databases[b"records"], txn.get
        return [get(pack_id(number), db=records) for number in numbers]

    found = environment.read(read)
    if None in found:
        raise missing(environment, numbers[found.index(None)])
    return [
        unpack_record(number, data) for number, data in zip(numbers, found, strict=True) if data is not None
    ]


def packed_records(environment: Environment, start: int, number: int) -> list[bytes]:
    """Return the packed records of ``number`` consecutive rows from ``start`` on.

    Raises:
        StoreCorrupt: records are missing.
    """
    return environment.read(partial(packed_in, environment.path, start, number))


def packed_in(
    path: Path, start: int, number: int, txn: lmdb.Transaction[bytes], databases: Databases
) -> list[bytes]:
    """Return what `packed_records` does, in a snapshot that the caller has."""
    cursor = txn.cursor(databases[b"records"])
    cursor.set_range(pack_id(start))
    found = list(islice(cursor.iternext(keys=False), number))
    if len(found) < number:
        raise StoreCorrupt(f"{path}: records are missing; run `verify`")
    return found


def dead_in(start: int, stop: int, txn: lmdb.Transaction[bytes], databases: Databases) -> list[bool]:
    """Return which rows from ``start`` to ``stop`` have a tombstone in one snapshot."""
    chunks = range(start // TOMBSTONES_PER_CHUNK, (stop - 1) // TOMBSTONES_PER_CHUNK + 1)
    packed = [(chunk, txn.get(pack_id(chunk), b"", db=databases[b"tombstones"])) for chunk in chunks]
    flags: list[bool] = _flags(packed, start, stop).tolist()
    return flags


def block_sum(environment: Environment, number: int) -> bytes | None:
    """Return the checksum that was kept of a block of rows."""
    return environment.read(lambda txn, databases: seals.sum_of_block(txn, databases, number))


def rows_of(
    environment: Environment, start: int, stop: int, *, dim: int, checked: dict[int, bytes] | None = None
) -> NDArray[np.float16]:
    """Return rows ``start`` to ``stop``, ``(n, dim)`` float16, a fresh array.

    Args:
        environment: where they lie.
        start, stop: which.
        dim: their width.
        checked: checksums of blocks that were found right before, which need not be computed again; added to.
    Raises:
        StoreCorrupt: a block is missing or short.
    """
    block = rows_per_block(dim)
    result = np.empty((stop - start, dim), np.float16)  # (n, dim)
    done = start
    while done < stop:
        number, skip = divmod(done, block)
        part = result[done - start : min((number + 1) * block, stop) - start]
        environment.read(partial(_copy_block, environment.path, number, skip, part, checked), buffers=True)
        done += len(part)
    return result


def _copy_block(
    path: Path,
    number: int,
    skip: int,
    out: NDArray[np.float16],
    checked: dict[int, bytes] | None,
    txn: lmdb.Transaction[Any],
    databases: Databases,
) -> None:
    """Copy rows of block ``number`` from its row ``skip`` on into ``out``, while the map cannot move."""
    data = txn.get(pack_id(number), db=databases[b"blocks"])
    if data is None or len(data) < skip * 2 * out.shape[1] + out.nbytes:
        raise StoreCorrupt(
            f"{path}: block {number} is {'missing' if data is None else 'short'}; run `verify`"
        )
    kept = seals.sum_of_block(txn, databases, number)
    if kept is not None and (checked is None or checked.get(number) != kept):
        kept = bytes(kept)
        if not seals.rows_fit(kept, data):
            raise StoreCorrupt(f"{path}: block {number} is not what was written; run `verify`")
        if checked is not None:
            checked[number] = kept
    out[:] = np.frombuffer(data, np.float16, out.size, skip * 2 * out.shape[1]).reshape(out.shape)

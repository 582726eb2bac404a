"""Keep which rows have a digest in sorted runs: what a commit writes depends on what it adds, not on all that is there.

In a tree ordered by digests every row that is added touches a page of its own, and a hundred thousand rows nearly all pages of ten
million. Here the digests that a commit adds are one run, sorted; once there are several of like size they are merged, so that a digest is written
again about as often as the rows grow five times. An entry stays until its run is merged: whoever looks a digest up asks the row whether it still has it.

Layout of the database: for each run ``kind, number`` → its entries, as a number; then ``kind, number, first head, place`` → a page of
entries with their CRC-32. Under the kind as a capital letter, a large run has a *filter* (Bloom 1970): bits that say of most digests that they are
not in it, so that many new ones are looked up without reading pages. An entry is a digest of 16 bytes and an id of 8, all big-endian; a run is sorted by heads, the digests' first 8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from zlib import crc32

import lmdb
import numpy as np
from numpy.typing import NDArray

from indexes.errors import StoreCorrupt
from indexes.store.tables.records import pack_id, unpack_id

RUNS: Final = b"runs"
"""The database."""

KEY, CONTENT = b"k", b"c"
"""Kinds: digests of keys, and content hashes."""

FROM_ROWS: Final = 1 << 16
"""Rows that a store has before it keeps runs: a tree of so many digests is small, and older versions read it."""

MOST: Final = 1 << 20
"""Entries of a run that is not merged any more, be it only half as large.

With four times as many, twenty additions of a hundredth to three million rows of 128 dimensions wrote all earlier digests again: by the
count of `_to_merge` 1.3 times the float16 bytes of the rows added, and 0.5 with so many.
"""

_DIGEST, _HEAD, _ENTRY = 16, 8, 24
_IN_PAGE: Final = (4096 - 16 - 4) // _ENTRY  # entries that fill a page, less LMDB's header and the checksum
_NUMBER, _SUM = 4, 4
_ALIKE: Final = (
    4  # runs that wait until they are merged with a further one; and times its size that each may have
)
_PREFIX: Final = 1 + _NUMBER
_WINDOW: Final = 256  # pages read at once while runs are merged
_FILTERED: Final = 1 << 14  # entries from which a run has a filter
_KNOWN: Final = 1 << 14  # pages remembered as right
_SEVERAL: Final = 64  # digests looked up together from which filters are read
_BESIDE: Final = 512  # bytes a page that LMDB may need besides

Entries = NDArray[np.uint64]
"""``(n, 3)`` big-endian: head and tail of the digest, id."""


def put(
    txn: lmdb.Transaction[bytes], database: Any, kind: bytes, digests: Sequence[bytes], ids: Sequence[int]
) -> None:
    """Add digests, with the id of the row that each leads to.

    Args:
        txn: a write transaction.
        database: of the runs.
        kind: `KEY` or `CONTENT`.
        digests: of 16 bytes, in any order.
        ids: as many.
    """
    if not digests:
        return
    entries = np.empty((len(ids), 3), dtype=">u8")
    entries[:, :2] = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2)
    entries[:, 2] = ids
    before = _runs(txn, database, kind)
    merged = _to_merge([size for _, size in before], len(entries))
    old = [number for number, _ in before[len(before) - merged :]]
    stream: Iterator[Entries] = iter((_sorted(entries),))
    for number in reversed(old):
        stream = _merged(_entries(txn, database, kind, number), stream)
    new = before[-1][0] + 1 if before else 0
    total = len(entries) + sum(size for _, size in before[len(before) - merged :])
    _write(txn, database, kind, new, stream, filter_bytes=_filter_bytes(total))
    for number in old:
        _delete(txn, database, kind, number)
        txn.delete(_filter_name(kind, number), db=database)


def room(txn: lmdb.Transaction[bytes], database: Any, kind: bytes, added: int) -> int:
    """Return about how many bytes `put` adds for so many digests; rather too many."""
    sizes = [size for _, size in _runs(txn, database, kind)]
    merged = _to_merge(sizes, added)
    entries = added + sum(sizes[len(sizes) - merged :])
    return (entries // _IN_PAGE + 1) * (4096 + _BESIDE) + _filter_bytes(entries) + 8192


def find(
    txn: lmdb.Transaction[bytes],
    database: Any,
    kind: bytes,
    digests: Iterable[bytes],
    checked: set[bytes] | None = None,
) -> dict[bytes, list[int]]:
    """Return the ids that digests lead to, of newer runs first; those that lead nowhere are left out.

    A row may have been deleted since, or have got another key: the caller asks.

    Args:
        txn: a transaction.
        database: of the runs.
        kind: `KEY` or `CONTENT`.
        digests: of 16 bytes.
        checked: names of pages that were found right before, which need not be checked again; added to. A page is written
            once: when runs are merged the new one has a higher number.
    Raises:
        StoreCorrupt: a page is not what was written.
    """
    wanted = sorted(digests)
    found: dict[bytes, list[int]] = {}
    known = set[bytes]() if checked is None else checked
    if len(known) > _KNOWN:
        known.clear()
    with txn.cursor(database) as cursor:
        for number, _ in reversed(_runs(txn, database, kind)):
            prefix = _prefix(kind, number)
            for digest in _perhaps_in(txn, database, kind, number, wanted):
                if ids := _in_run(cursor, prefix, digest, known):
                    found.setdefault(digest, []).extend(ids)
    return found


def _perhaps_in(
    txn: lmdb.Transaction[bytes], database: Any, kind: bytes, number: int, digests: list[bytes]
) -> list[bytes]:
    """Return those of some digests that a run may have; all of a few, or where it has no filter.

    Raises:
        StoreCorrupt: its filter is not what was written.
    """
    if len(digests) < _SEVERAL:
        return digests
    data = txn.get(_filter_name(kind, number), db=database)
    if data is None:
        return digests
    bits = np.frombuffer(_whole(data, "the filter of a run"), np.uint8)
    places = _places(np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2), len(bits))  # (4, n)
    there = (bits[places >> np.uint64(3)] >> (places & np.uint64(7)).astype(np.uint8) & 1).all(axis=0)
    return [digests[place] for place in np.flatnonzero(there).tolist()]


def _places(digests: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Return which bits of a filter of so many bytes stand for digests, ``(4, n)``."""
    mask, half = np.uint64(8 * size - 1), np.uint64(32)
    head, tail = (digests[:, column].astype(np.uint64) for column in (0, 1))
    return np.stack((head & mask, head >> half & mask, tail & mask, tail >> half & mask))


def _filter_bytes(entries: int) -> int:
    """Return how many bytes the filter of so many entries has, a power of two: 8 to 16 bits an entry; 0 for none."""
    return 1 << max(entries - 1, 1).bit_length() if entries >= _FILTERED else 0


def _filter_name(kind: bytes, number: int) -> bytes:
    return _prefix(kind.upper(), number)


def _in_run(cursor: Any, prefix: bytes, digest: bytes, checked: set[bytes]) -> list[int]:
    """Return the ids that a digest leads to in one run."""
    found: list[int] = []
    short = digest[:_HEAD]
    head = prefix + short
    # The last page that begins before the head, then those that begin with it.
    there = cursor.set_range(head)
    if not (cursor.prev() if there else cursor.last()):
        return found
    name, data = cursor.item()
    if len(name) == _PREFIX:  # the number of its entries, which stands before its first page
        if not (cursor.next() and cursor.key().startswith(head)):
            return found
        name, data = cursor.item()
    while True:
        if name not in checked:
            _page(data)
            checked.add(name)
        place = data.find(digest)  # a multiple of an entry: the checksum behind the entries is none
        while place >= 0:
            if place % _ENTRY == 0 and place + _ENTRY < len(data):
                found.append(unpack_id(data[place + _DIGEST : place + _ENTRY]))
            place = data.find(digest, place + 1)
        last = data[-_ENTRY - _SUM : _HEAD - _ENTRY - _SUM]
        if last > short or not cursor.next():
            return found
        name, data = cursor.item()
        if not name.startswith(head):
            return found


def _page(data: bytes) -> bytes:
    """Return the entries of a page, once their checksum fits."""
    entries = _whole(data, "a page of digests")
    if len(entries) % _ENTRY:
        raise StoreCorrupt("vectors.lmdb: a page of digests is cut; run `verify`")
    return entries


def _whole(data: bytes, what: str) -> bytes:
    """Return what stands before a checksum, if that fits."""
    if crc32(data[:-4]).to_bytes(4, "big") != data[-4:]:
        raise StoreCorrupt(f"vectors.lmdb: {what} is not what was written; run `verify`")
    return data[:-4]


def _runs(txn: lmdb.Transaction[bytes], database: Any, kind: bytes) -> list[tuple[int, int]]:
    """Return the numbers of the runs, ascending, and how many entries each has."""
    runs = []
    with txn.cursor(database) as cursor:
        there = cursor.set_range(kind)
        while there and (name := cursor.key()).startswith(kind):
            number = int.from_bytes(name[1:_PREFIX], "big")
            if len(name) != _PREFIX:
                raise StoreCorrupt("vectors.lmdb: a run of digests has no beginning; run `verify`")
            runs.append((number, unpack_id(cursor.value())))
            there = cursor.set_range(_prefix(kind, number + 1))
    return runs


def _to_merge(sizes: Sequence[int], added: int) -> int:
    """Return how many of the newest runs are merged with so many new entries: some of like size, or fewer that nearly fill a run."""
    merged, total = 0, added
    while True:
        alike, more = 0, 0
        for size in reversed(sizes[: len(sizes) - merged]):
            if size > _ALIKE * total or size + more + total > MOST:
                break
            alike, more = alike + 1, more + size
        if not alike or (alike < _ALIKE and total + more <= MOST // 2):
            return merged
        merged, total = merged + alike, total + more


def _prefix(kind: bytes, number: int) -> bytes:
    return kind + number.to_bytes(_NUMBER, "big")


def _entries(txn: lmdb.Transaction[bytes], database: Any, kind: bytes, number: int) -> Iterator[Entries]:
    """Yield the entries of a run, some pages at a time; others may be written meanwhile."""
    prefix = _prefix(kind, number)
    last = prefix
    while True:
        pages: list[bytes] = []
        with txn.cursor(database) as cursor:
            there = cursor.set_range(last)
            if there and cursor.key() == last:
                there = cursor.next()
            while there and len(pages) < _WINDOW and cursor.key().startswith(prefix):
                last = cursor.key()
                pages.append(_page(cursor.value()))
                there = cursor.next()
        if not pages:
            return
        yield np.frombuffer(b"".join(pages), dtype=">u8").reshape(-1, 3)


def _sorted(entries: Entries) -> Entries:
    """Return entries ordered by their heads."""
    return entries[np.argsort(entries[:, 0].astype(np.uint64), kind="stable")]


def _joined(one: Entries, other: Entries) -> Entries:
    """Return the entries of both, one after the other; numpy alone would turn their bytes."""
    return np.concatenate((one, other), dtype=">u8")


def _merged(one: Iterator[Entries], other: Iterator[Entries]) -> Iterator[Entries]:
    """Merge two streams of entries that are ordered by their heads."""
    first, second = next(one, None), next(other, None)
    while first is not None and second is not None:
        bound = min(first[-1, 0], second[-1, 0])
        cuts = [
            int(np.searchsorted(part[:, 0].astype(np.uint64), bound, side="right"))
            for part in (first, second)
        ]
        yield _sorted(_joined(first[: cuts[0]], second[: cuts[1]]))
        first = first[cuts[0] :] if cuts[0] < len(first) else next(one, None)
        second = second[cuts[1] :] if cuts[1] < len(second) else next(other, None)
    for rest, stream in ((first, one), (second, other)):
        if rest is not None:
            yield rest
            yield from stream


def _write(
    txn: lmdb.Transaction[bytes],
    database: Any,
    kind: bytes,
    number: int,
    stream: Iterator[Entries],
    *,
    filter_bytes: int,
) -> None:
    """Write a run page by page, and its filter."""
    prefix, count, place = _prefix(kind, number), 0, 0
    bits = np.zeros(filter_bytes, np.uint8)
    left = np.empty((0, 3), dtype=">u8")
    for part in stream:
        entries = _joined(left, part)
        whole = len(entries) // _IN_PAGE * _IN_PAGE
        place = _write_pages(txn, database, prefix, place, entries[:whole])
        left, count = entries[whole:], count + len(part)
        if filter_bytes:
            places = _places(part, filter_bytes).ravel()
            np.bitwise_or.at(
                bits, places >> np.uint64(3), np.uint8(1) << (places & np.uint64(7)).astype(np.uint8)
            )
    _write_pages(txn, database, prefix, place, left)
    txn.put(prefix, pack_id(count), db=database)
    if filter_bytes:
        data = bits.tobytes()
        txn.put(_filter_name(kind, number), data + crc32(data).to_bytes(4, "big"), db=database)


def _write_pages(
    txn: lmdb.Transaction[bytes], database: Any, prefix: bytes, place: int, entries: Entries
) -> int:
    """Write some pages of a run, and return the place of the next one."""
    data = np.ascontiguousarray(entries).tobytes()
    step = _IN_PAGE * _ENTRY
    for start in range(0, len(data), step):
        page = data[start : start + step]
        name = prefix + page[:_HEAD] + place.to_bytes(_NUMBER, "big")
        txn.put(name, page + crc32(page).to_bytes(4, "big"), db=database)
        place += 1
    return place


def _delete(txn: lmdb.Transaction[bytes], database: Any, kind: bytes, number: int) -> None:
    """Delete a run."""
    prefix = _prefix(kind, number)
    with txn.cursor(database) as cursor:
        while cursor.set_range(prefix) and cursor.key().startswith(prefix):
            cursor.delete()

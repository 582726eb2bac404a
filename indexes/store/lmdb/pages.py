"""Check the pages of an LMDB file before LMDB reads them, so that damage cannot end the process.

Walks the trees of a file from its newest meta page down, a level of all trees at a time, by LMDB 0.9's layout on 64-bit
little-endian machines, and checks every page number, offset and length against the page and the file. What keys and values
hold is not looked at. Nothing is locked: where the check fails while another process commits, it is made again.

Long because all that is known here of LMDB's layout stands together.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.checksums import Sound
from indexes.errors import StoreCorrupt
from indexes.files import limit_reached
from indexes.repair_hints import cure_of_store, unreadable

PAGES: Final = 2048
"""Pages of trees up to which all are checked; of larger ones only the upper levels, which every look-up passes."""

_FEW: Final = 64  # pages of a level that is still checked there

_TOGETHER: Final = (
    128  # pages checked at once: they stay in the cache, and what is made of them needs no fresh memory
)

_META: Final = struct.Struct("<QHHIIIQQ48s48sQQ")
_TREE: Final = struct.Struct(
    "<IHHQQQQQ"
)  # pad, flags, depth, branch pages, leaf pages, overflow pages, entries, root
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _FIXED_LEAF, _SUB = 1, 2, 4, 0x22, 0x40
_BIG, _TREE_NODE, _MANY = 1, 2, 4  # flags of a node
_SORTED_MANY = 4  # flag of a tree
_NONE: Final = (1 << 64) - 1
_HEADER: Final = 16
_LONGEST_KEY: Final = 511

_TRIES: Final = 50  # of a file that another process commits to

_sound = Sound()

Words = NDArray[np.uint64]


class _Damage(Exception):
    """What is wrong, in words."""


class _Book:
    """The pages of a file. They are read, not mapped: a map of a file that loses its end meanwhile ends the process."""

    __slots__ = ("count", "file", "page")

    def __init__(self, file: int, page: int, count: int) -> None:
        self.file, self.page, self.count = file, page, count  # bytes of each page

    def __len__(self) -> int:
        return self.count


class _Newest(NamedTuple):
    """What the newest meta page says."""

    page: int  # bytes of a page
    last: int  # number of the last page
    commit: int
    free: bytes
    main: bytes


def check(path: Path, *, flags: Mapping[bytes, int]) -> None:
    """Refuse a file in which LMDB would step outside of its pages.

    A file that this process found whole is not looked at again until its length or its times change.

    Args:
        path: ``data.mdb``.
        flags: those of each named tree that may be there.
    Raises:
        StoreCorrupt: a page is not what LMDB writes; the message names the file, the page and what to do.
        FileNotFoundError: there is no such file.
        SystemLimit: no more open files.
    """
    if sys.byteorder != "little" or struct.calcsize("P") != 8:
        return
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise limit_reached(error, path.parent) or error from error
    try:
        status = os.fstat(file)
        if _sound.has(status):
            return
        settled = _sound.settled(status)
        _check(path, file, flags)
        if settled:
            _sound.add(status)
    finally:
        os.close(file)


def _check(path: Path, file: int, flags: Mapping[bytes, int]) -> None:
    for attempt in range(_TRIES):
        before = None
        try:
            before = _newest(file)
            _walk(file, before, flags)
        except (_Damage, struct.error, IndexError, ValueError) as damage:
            # A page that is read twice may be another by then: whatever stumbles over it looks at no whole snapshot.
            # Pages of this commit are not used again before the next but one: unless there was another, it is damage.
            with suppress(_Damage):
                if attempt + 1 < _TRIES and _newest(file) != before:
                    continue
            raise StoreCorrupt(f"{path}: damaged ({damage}); {cure_of_store(path)}") from damage
        except OSError as error:
            raise unreadable(error, path) from error
        return


def _newest(file: int) -> _Newest:
    head = os.pread(file, _META.size, 0)
    if len(head) < _META.size:
        raise _Damage("too short for a header")
    page = _TREE.unpack(_META.unpack(head)[8])[0]
    if page not in (4096, 8192, 16384, 32768, 65536):
        raise _Damage(f"pages of {page:,} bytes")
    found = []
    for number in range(2):
        data = os.pread(file, _META.size, page * number)
        if len(data) < _META.size:
            raise _Damage("too short for its two headers")
        own, _, kind, _, magic, version, _, size, free, main, last, commit = _META.unpack(data)
        facts = _TREE.unpack(free)
        if own != number or kind != 8 or magic != _MAGIC or version != _VERSION:
            raise _Damage(f"header {number} is none")
        if (
            facts[0] != page
            or facts[1] & 1
            or size % 4096
            or size > max(1 << 40, 64 * os.fstat(file).st_size)
        ):
            raise _Damage(f"header {number} has sizes that cannot be")
        found.append(_Newest(page=page, last=last, commit=commit, free=free, main=main))
    newest = max(found, key=lambda each: each.commit)
    older = min(found, key=lambda each: each.commit)
    if newest.commit > 0 and (found[newest.commit & 1] != newest or newest.commit - older.commit != 1):
        raise _Damage(f"commits {older.commit} and {newest.commit} do not follow each other")
    if os.fstat(file).st_size < (newest.last + 1) * page:
        raise _Damage(f"{os.fstat(file).st_size:,} bytes, expected at least {(newest.last + 1) * page:,}")
    return newest


def _walk(file: int, newest: _Newest, flags: Mapping[bytes, int]) -> None:
    book = _Book(file, newest.page, newest.last + 1)
    trees = [tree for tree in (newest.free, newest.main) if _TREE.unpack(tree)[-1] != _NONE]
    if not trees:
        return
    named = []
    if _TREE.unpack(newest.main)[-1] != _NONE:
        named = list(_named(book, newest, flags))
    level = [_root(tree) for tree in (*trees, *named)]
    # Once the named trees' roots are known, all trees are walked together.
    facts = [_TREE.unpack(tree) for tree in (*trees, *named)]
    pages = sum(int(tree[3]) + int(tree[4]) for tree in facts)
    if pages > newest.last:
        raise _Damage(f"{pages:,} pages in a file of {newest.last + 1:,}")
    numbers = np.array([root for root, _, _ in level], np.uint64)
    depths = np.array([depth for _, depth, _ in level], np.int64)
    fixed = np.array([many for _, _, many in level], np.bool_)
    seen = 0
    while len(numbers) and (pages <= PAGES or len(numbers) <= _FEW):
        seen += len(numbers)
        if seen > max(pages, PAGES) + len(facts):
            raise _Damage("its pages lead back to themselves")
        order = np.argsort(numbers, kind="stable")
        numbers, depths, fixed = numbers[order], depths[order], fixed[order]
        parts = [
            _level(book, numbers[part], depths[part], fixed[part])
            for part in (slice(start, start + _TOGETHER) for start in range(0, len(numbers), _TOGETHER))
        ]
        numbers, depths, fixed = (np.concatenate(found) for found in zip(*parts, strict=True))


def _root(tree: bytes) -> tuple[int, int, bool]:
    _, flags, depth, *_, root = _TREE.unpack(tree)
    return root, depth, bool(flags & _SORTED_MANY)


def _named(book: _Book, newest: _Newest, flags: Mapping[bytes, int]) -> Iterator[bytes]:
    """Yield the named trees that have a page, each checked against the flags that it must have."""
    root, depth, _ = _root(newest.main)
    if depth != 1:
        raise _Damage("its table of names is too deep")
    numbers = np.array([root], np.uint64)
    _level(book, numbers, np.array([1]), np.array([False]))
    page = _pages(book, numbers)[0].tobytes()
    count = (int.from_bytes(page[12:14], "little") - _HEADER) // 2
    for place in struct.unpack_from(f"<{count}H", page, _HEADER):
        low, high, kind, key = struct.unpack_from("<HHHH", page, place)
        name, data = page[place + 8 : place + 8 + key], page[place + 8 + key :][: low | high << 16]
        if name not in flags or kind != _TREE_NODE or len(data) != _TREE.size:
            raise _Damage(f"no table is named {name!r}")
        tree = _TREE.unpack(data)
        if tree[1] != flags[name]:
            raise _Damage(f"table {name.decode()} has flags {tree[1]}")
        if tree[-1] != _NONE:
            yield data
        elif tree[6] or tree[2]:
            raise _Damage(f"table {name.decode()} has entries and no page")


def _level(
    book: _Book, numbers: Words, depths: NDArray[np.int64], many: NDArray[np.bool_]
) -> tuple[Words, NDArray[np.int64], NDArray[np.bool_]]:
    """Check pages ``(n,)``, ascending, and return those that they lead to, with their height above the leaves and their trees' kind."""
    _require((numbers >= 2) & (numbers < len(book)), numbers, "lies outside of the file")
    data, size = _pages(book, numbers), book.page  # (n, page)
    halves = data.view("<u2")  # (n, page / 2)
    kinds, lower, upper = (halves[:, place].astype(np.int64) for place in (5, 6, 7))
    own = data[:, :8].copy().view("<u8")[:, 0]
    _require(own == numbers, numbers, "is another page")
    leaf = depths == 1
    # Pages of many values of one key, in trees of their own, hold values of one length side by side.
    flat = leaf & (kinds == _FIXED_LEAF) & many
    _require(
        (depths >= 1) & np.where(leaf, (kinds == _LEAF) | flat, kinds == _BRANCH),
        numbers,
        "is of no kind that can be here",
    )
    _require(
        (lower >= _HEADER) & (lower % 2 == 0) & (lower <= upper) & (upper <= size),
        numbers,
        "has bounds that cannot be",
    )
    counts = (lower - _HEADER) // 2
    _require(counts >= np.where(leaf, 1, 2), numbers, "is empty")
    _require(~flat | (_HEADER + counts * halves[:, 4] <= size), numbers, "has values beyond its end")
    counts[flat] = 0
    starts = np.arange(len(numbers)) * (size // 2)  # of each page among the halves of all
    every = halves.reshape(-1)

    def each(values: NDArray[Any]) -> NDArray[Any]:
        """Return for each of the m nodes the value of its page."""
        return np.repeat(values, counts)

    firsts = np.cumsum(counts) - counts
    places = every.take(np.arange(counts.sum()) + each(starts + _HEADER // 2 - firsts))  # (m,) uint16
    _require(
        (places & 1 == 0) & (places >= each(upper)) & (places <= size - 8),
        numbers,
        "has a node outside of it",
        counts,
    )
    word = (places >> 1) + each(starts)  # (m,) int64
    low, high, kind, key = (every.take(word + part) for part in range(4))
    inner = each(~leaf)
    ends = places + key.astype(np.int64) + 8
    _require((ends <= size) & (inner | (key <= _LONGEST_KEY)), numbers, "has a key beyond its end", counts)
    held = ~inner & (kind & _BIG == 0)
    _require(inner | (kind <= 6), numbers, "has a node of no kind", counts)
    _require(~held | ((high == 0) & (ends + low <= size)), numbers, "has a value beyond its end", counts)
    big = ~inner & ~held
    if big.any():
        _require(~big | (ends + 8 <= size), numbers, "has a value beyond its end", counts)
        lengths = low[big].astype(np.int64) + (high[big].astype(np.int64) << 16)
        _long_values(book, _number_at(data, each(np.arange(len(numbers)))[big], ends[big]), lengths)
    first, second, third = (part[inner].astype(np.uint64) for part in (low, high, kind))
    children = first | second << np.uint64(16) | third << np.uint64(32)
    below, kept = each(depths)[inner] - 1, each(many)[inner]
    several = ~inner & (kind & _MANY != 0)
    if several.any():
        rows = each(np.arange(len(numbers)))[several]
        more = _several(data, rows, ends[several], low[several], kind[several])
        children = np.concatenate((children, more[0]))
        below = np.concatenate((below, more[1]))
        kept = np.concatenate((kept, np.ones(len(more[0]), np.bool_)))
    return children, below, kept


def _several(
    data: NDArray[np.uint8],
    rows: NDArray[Any],
    ends: NDArray[Any],
    sizes: NDArray[Any],
    kinds: NDArray[Any],
) -> tuple[Words, NDArray[np.int64]]:
    """Check the values of keys that have many: a page within the node, or a tree of their own, whose roots are returned."""
    roots, depths = [], []
    for row, end, size, kind in zip(
        rows.tolist(), ends.tolist(), sizes.tolist(), kinds.tolist(), strict=True
    ):
        value = data[row, end : end + size].tobytes()
        if kind & _TREE_NODE:
            if size != _TREE.size:
                raise _Damage("a tree of values is cut")
            tree = _TREE.unpack(value)
            roots.append(tree[-1])
            depths.append(tree[2])
            continue
        if size < _HEADER:
            raise _Damage("a page of values is cut")
        _, width, flags, lower, upper = struct.unpack_from("<QHHHH", value)
        count = (lower - _HEADER) // 2
        if flags & ~0x10 != _FIXED_LEAF | _SUB or lower < _HEADER or not lower <= upper <= size or width != 8:
            raise _Damage("a page of values is none")
        if _HEADER + count * width > size:
            raise _Damage("a page of values is too short for them")
    return np.array(roots, np.uint64), np.array(depths, np.int64)


def _long_values(book: _Book, numbers: Words, sizes: NDArray[np.int64]) -> None:
    """Check the headers of values that fill pages of their own."""
    _require((numbers >= 2) & (numbers < len(book)), numbers, "lies outside of the file")
    page = book.page
    joined = b"".join(os.pread(book.file, _HEADER, number * page) for number in numbers.tolist())
    if len(joined) != _HEADER * len(numbers):
        raise _Damage("it ends within a page")
    heads = np.frombuffer(joined, "<u4").reshape(-1, 4)  # (n, 4)
    pages = heads[:, 3].astype(np.uint64)
    own = heads[:, 0].astype(np.uint64) | heads[:, 1].astype(np.uint64) << np.uint64(32)
    _require((own == numbers) & (heads[:, 2] >> 16 == _OVERFLOW), numbers, "is no page of a long value")
    _require((pages >= 1) & (numbers + pages <= len(book)), numbers, "leads outside of the file")
    _require(
        sizes + _HEADER <= (pages * np.uint64(page)).astype(np.int64),
        numbers,
        "is too short for its value",
    )


def _number_at(data: NDArray[np.uint8], rows: NDArray[Any], places: NDArray[Any]) -> Words:
    parts = data[rows[:, np.newaxis], places[:, np.newaxis] + np.arange(8)]  # (m, 8)
    return np.ascontiguousarray(parts).view("<u8")[:, 0].astype(np.uint64)


def _pages(book: _Book, numbers: Words) -> NDArray[np.uint8]:
    """Read pages ``(n, page)`` of ascending numbers, neighbours together: a call for each took longer than all else that opens a collection."""
    ordered = numbers.astype(np.int64)
    data = np.empty((len(numbers), book.page), np.uint8)
    firsts = np.flatnonzero(np.diff(ordered, prepend=-2) != 1).tolist()  # of runs of neighbours
    for first, stop in zip(firsts, [*firsts[1:], len(ordered)], strict=True):
        part, place = data[first:stop].data.cast("B"), int(ordered[first]) * book.page
        while part:
            got = os.preadv(book.file, [part], place)
            if not got:
                raise _Damage("it ends within a page")
            part, place = part[got:], place + got
    return data


def _require(
    good: NDArray[np.bool_], numbers: Words, what: str, counts: NDArray[np.int64] | None = None
) -> None:
    """Raise the damage of the first page of which something is not good; with ``counts``, of so many nodes a page."""
    if not good.all():
        of = numbers if counts is None else np.repeat(numbers, counts)
        raise _Damage(f"page {int(of[np.flatnonzero(~good)[0]])} {what}")

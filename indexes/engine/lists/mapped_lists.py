"""Open FastScan and RaBitQ inverted lists in their file instead of copying them into memory.

FastScan and RaBitQ codes lie in `BlockInvertedLists`. FAISS reads them into a vector a list: of a million rows 94 MB of
anonymous memory and 25,000 page faults, before a first query that looks at six lists of 3,968. Here their places in the
file are found by stepping from size to size, and `OnDiskInvertedLists`, made for lists in a file, is told them.

The end of such a file: ``ilbl``, then as uint64 the number of lists, all ones, rows and bytes of a block; then for each
list the number of its ids, the ids (int64), the number of its codes' bytes, and the codes.
"""

from __future__ import annotations

import mmap
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from indexes.checksums import Sound
from indexes.engine import faiss

_INDEXES: Final = (b"IwPf", b"Iwrn")  # how the file of an index with such lists begins: product codes, RaBitQ
_CHAIN: Final = b"IxPT"  # transforms, then the index that they come before
_ROWS: Final = slice(8, 16)  # where, from there, an index has its number of rows
_DUMMIES: Final = struct.pack("<QQ", 1 << 20, 1 << 20)  # that FAISS puts behind them

_TAG: Final = b"ilbl"
_HEADER: Final = struct.Struct("<4sQQQQ")
_SIZE: Final = 8
_NUMBER: Final = struct.Struct("<Q")
_ALL_ONES: Final = (1 << 64) - 1  # FAISS's mark: a row's code has no place of its own in a block
_MARK: Final = struct.pack("<QQ", _ALL_ONES, 32)  # with the rows of a block, as FAISS has them
_MAPPED: Final = 32 << 20  # bytes of a file up to which stepping through a map is sooner than a call a list
_STEP: Final = 1 << 18

_TESTED: Final = {("1", "15")}  # versions of FAISS
_known: dict[Any, bool] = {}
_REMEMBERED: Final = 32  # files
_laid: dict[tuple[int, ...], tuple[int, NDArray[np.uint64], NDArray[np.uint64]]] = {}


def open_in_place(path: Path, *, sizes: NDArray[np.uint32] | None = None) -> Any | None:
    """Open the index at ``path`` with its block lists left in the file; read-only.

    Args:
        path: the file.
        sizes: how many rows each list has, where that is known; they were held against the file.
    Returns:
        the index; None for a file without such lists, or not whole: FAISS itself then reads it, or says what is wrong.
    """
    module = faiss()
    if not _is_known(module):
        return None
    try:
        with path.open("rb") as file:
            laid = _layout(file.fileno(), sizes)
            if laid is None:
                return None
            start, *found = laid
            # What comes before the lists, then as many lists of no rows; only the pages that this changes are copied.
            length = start + 2 * _SIZE * len(found[0])
            head = np.frombuffer(mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY), np.uint8)
        head[start:] = 0
        reader = module.ZeroCopyIOReader(module.swig_ptr(head), length)
        index = module.read_index(reader, module.IO_FLAG_MMAP_IFC)
        lists = _in_file(module, path, *found)
        if not _are_placed(lists, found[0]):
            _say(module)
            return None
        module.extract_index_ivf(index).replace_invlists(lists, False)  # noqa: FBT003 - it takes no name
    except (OSError, RuntimeError):
        return None
    index.referenced_objects = [head, lists]
    return index


def _is_known(module: Any) -> bool:
    """Say whether this FAISS keeps lists in files as the one that this module was written for; say so once if not.

    What is written into its memory below has no type that Python could check: the size and the order of the fields are tried
    on three lists first.
    """
    known = _known.get(module)
    if known is None:
        known = _known[module] = _has_layout(module)
        if not known:
            _say(module)
    return known


def _has_layout(module: Any) -> bool:
    names = ("ZeroCopyIOReader", "OnDiskInvertedLists", "OnDiskOneListVector", "memcpy")
    version = tuple(str(module.__version__).split(".")[:2])
    if version not in _TESTED or not all(hasattr(module, name) for name in names):
        return False
    lists = module.OnDiskOneListVector()
    lists.resize(3)  # a third one, untouched: if a list takes 16 bytes, these 48 still fit
    blank = lists.at(2)
    table = np.arange(1, 7, dtype=np.uint64)
    module.memcpy(lists.data(), module.swig_ptr(table), table.nbytes)
    found = [(one.size, one.capacity, one.offset) for one in map(lists.at, range(3))]
    return found == [(1, 2, 3), (4, 5, 6), (blank.size, blank.capacity, blank.offset)]


def _are_placed(lists: Any, sizes: NDArray[np.uint64]) -> bool:
    """Say whether FAISS finds the ids of a list where they lie in the file."""
    filled = np.flatnonzero(sizes)
    if not len(filled):
        return True
    number = int(filled[-1])
    size = int(sizes[number])
    same = int(lists.list_size(number)) == size
    return same and int(lists.get_codes(number)) - int(lists.get_ids(number)) == _SIZE * (size + 1)


def _say(module: Any) -> None:
    warnings.warn(
        f"faiss {module.__version__} keeps lists otherwise than the versions that were tested (1.15): indexes are read into "
        "memory instead of mapped; install faiss-cpu>=1.15,<1.16 to map them",
        RuntimeWarning,
        stacklevel=4,
    )


def _layout(
    file: int, sizes: NDArray[np.uint32] | None
) -> tuple[int, NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Return where the first list's size lies and what `_places` returns; of a file that has not changed since it was opened, at once."""
    status = os.fstat(file)
    settled = Sound.settled(status)
    seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    laid = _laid.get(seen)
    if laid is None:
        start = _lists_at(file)
        found = None if start is None else _places(file, start, sizes)
        if start is None or found is None:
            return None
        laid = (start, *found)
        if settled:
            if len(_laid) >= _REMEMBERED:
                _laid.clear()
            _laid[seen] = laid
    return laid


def _lists_at(file: int) -> int | None:
    """Return where in an open file the first list's size lies; None where there are no block lists."""
    inner = _inner(file)
    for begin, window in () if inner is None else _windows(file, inner):
        words = np.frombuffer(window, np.uint32, len(window) // 4)
        if (words == np.uint32(_ALL_ONES >> 32)).any():  # centroids hold no such numbers
            place = window.find(_MARK)
            while place >= 0:
                tag = begin + place - len(_TAG) - _SIZE
                if os.pread(file, len(_TAG), max(tag, 0)) == _TAG:
                    return tag + _HEADER.size
                place = window.find(_MARK, place + 1)
    return None


def _inner(file: int) -> int | None:
    """Return where the index with block lists begins, behind its transforms; None for any other index."""
    head = os.pread(file, _ROWS.stop, 0)
    again = head[_ROWS] + _DUMMIES  # both have as many rows
    begin = 0
    while head[:4] == _CHAIN:
        for start, window in _windows(file, begin + _ROWS.stop):
            if again in window:
                begin = start + window.index(again) - _ROWS.start
                break
        else:
            return None
        head = os.pread(file, 4, begin)
    return begin if head[:4] in _INDEXES else None


def _windows(file: int, begin: int) -> Iterator[tuple[int, bytes]]:
    """Yield places in a file and what lies there, long enough that no mark is missed between two of them."""
    while window := os.pread(file, _STEP + 32, begin):
        yield begin, window
        begin += _STEP


def _places(
    file: int, start: int, known: NDArray[np.uint32] | None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Return each list's number of rows and where its codes begin, ``(nlist,)`` each; None if they do not fill the file.

    Sizes in a large file are read, not mapped: of the pages between them a query needs few.
    """
    header = os.pread(file, _HEADER.size, start - _HEADER.size)
    end = os.fstat(file).st_size
    if len(header) < _HEADER.size:
        return None
    _, nlist, _, rows, size = _HEADER.unpack(header)
    if nlist > (end - start) // (2 * _SIZE):
        return None
    if known is not None:
        return _counted(known, start, end, nlist, rows, size)
    sizes, places = [0] * nlist, [0] * nlist
    place, size_at = start, _reader(file, end)
    for number in range(nlist):
        if place + _SIZE > end:
            return None
        count = size_at(place)
        place += _SIZE * (count + 2)
        sizes[number], places[number] = count, place
        place += -(-count // rows) * size
    if place != end:
        return None
    return np.array(sizes, dtype=np.uint64), np.array(places, dtype=np.uint64)


def _reader(file: int, length: int) -> Callable[[int], int]:
    """Return what reads a size at its place in an open file of so many bytes."""
    if length > _MAPPED:
        return lambda place: int.from_bytes(os.pread(file, _SIZE, place), "little")
    data, unpack = mmap.mmap(file, length, access=mmap.ACCESS_READ), _NUMBER.unpack_from
    return lambda place: unpack(data, place)[0]


def _counted(
    known: NDArray[np.uint32], start: int, end: int, nlist: int, rows: int, size: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Return what `_places` does, by adding up sizes that are known: nothing is read."""
    sizes = known.astype(np.int64)
    taken = _SIZE * (sizes + 2) + -(-sizes // rows) * size  # (nlist,)
    ends = start + np.cumsum(taken)
    if len(sizes) != nlist or (int(ends[-1]) if nlist else start) != end:
        return None
    places = ends - taken + _SIZE * (sizes + 2)
    return sizes.astype(np.uint64), places.astype(np.uint64)


def _in_file(module: Any, path: Path, sizes: NDArray[np.uint64], places: NDArray[np.uint64]) -> Any:
    """Return lists that lie in the file at ``path``.

    Of a list FAISS keeps its rows, a capacity and where its codes begin, and takes its ids to lie ``capacity * code_size``
    bytes behind that. Here they lie before it, with one size between them, so with the code size that marks block lists,
    all ones or -1 as these numbers wrap, the capacity is the bytes from the ids to the codes.
    """
    lists = module.OnDiskInvertedLists()
    lists.nlist, lists.code_size = len(sizes), _ALL_ONES
    lists.filename, lists.totsize, lists.read_only = str(path), path.stat().st_size, True
    lists.prefetch_nthread = (
        0  # threads that would read lists ahead; the page cache has them, or the kernel reads ahead
    )
    table = np.stack((sizes, 8 * (sizes + np.uint64(1)), places), axis=1)  # (nlist, 3)
    lists.lists.resize(len(sizes))
    module.memcpy(lists.lists.data(), module.swig_ptr(table), table.nbytes)
    lists.do_mmap()
    return lists

"""Check a generation's files before use, so that damage is an error and never a crash.

FAISS believes what a file says: a changed bit in a header or a list's size makes it ask for any amount of memory, or read
beyond the end. A file is checked whole where that takes little time. Of a large one with inverted lists at its end a query needs few lists, so
only what FAISS reads when it opens the file is checked: all that comes before the lists, and their sizes.

Two layouts of lists are known. ``ilar``: number of lists, bytes of a code, ``full`` or ``sprs``, a vector of sizes, then
codes and ids of each list. ``ilbl``: see `indexes.engine.lists.mapped_lists`; each list has its size before it.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from indexes.checksums import Sound, digest
from indexes.errors import StoreCorrupt
from indexes.files import sha256
from indexes.generation.description import FileInfo
from indexes.repair_hints import cure_of_file, unreadable

WHOLE: Final = 32 << 20
"""Bytes up to which a file is checked whole when it is opened: it takes less than a twentieth of a cold query."""

_sound = Sound()

_WORD: Final = 8
_ARRAYS: Final = struct.Struct(
    "<4sQQ4sQ"
)  # tag, lists, bytes of a code, kind of the sizes, numbers in their vector
_BLOCKS: Final = struct.Struct("<4sQQQQ")  # tag, lists, all ones, rows of a block, bytes of a block


def measured(path: Path, info: FileInfo) -> FileInfo:
    """Return what the manifest says of an index file: with the length of its head, where it is large and has one."""
    if info.bytes <= WHOLE:
        return info
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for head in _heads(data):
            sizes = _sizes(file.fileno(), data, head)
            if sizes is not None:
                with memoryview(data)[:head] as part:
                    return replace(info, head=head, digest=digest(part, sizes))
    return info


def sizes_of_blocks(path: Path) -> NDArray[np.uint32] | None:
    """Return how many rows each list of a large index file has, which lie between the lists; None for any other file."""
    info = measured(path, FileInfo(bytes=path.stat().st_size, sha256=""))
    if info.head is None:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        sizes = _sizes(file.fileno(), data, info.head)
    return np.frombuffer(sizes, "<u8").astype(np.uint32) if sizes else None


def check(path: Path, info: FileInfo, *, sizes: NDArray[np.uint32] | None = None) -> None:
    """Refuse a file that is not what was published; of a large index, what FAISS reads when it opens it.

    A file that this process found right is not read again until its length or its times change.

    Args:
        path: the file.
        info: what it is held to.
        sizes: how many rows each of its lists has, if a file of its own says so; else they are read where they lie between
            the lists.
    Raises:
        StoreCorrupt: it is missing, has another length, or its checksum differs; the message names it and what to do.
        SystemLimit: no more open files or memory.
    """
    try:
        status = path.stat()
        if _sound.has(status, info):
            return
        settled = _sound.settled(status)
        wrong = f"{status.st_size:,} bytes, expected {info.bytes:,}"
        if status.st_size == info.bytes:
            wrong = (
                "" if _same(path, info, sizes) else "not the bytes that were published (its checksum differs)"
            )
        if settled and not wrong:
            _sound.add(status, info)
    except FileNotFoundError:
        wrong = "missing"
    except OSError as error:
        raise unreadable(error, path) from error
    if wrong:
        raise StoreCorrupt(f"{path}: {wrong}; {cure_of_file(path)}")


def _same(path: Path, info: FileInfo, sizes: NDArray[np.uint32] | None) -> bool:
    if info.digest is None:  # of a version that wrote none
        return sha256(path) == info.sha256
    if info.bytes == 0:
        return digest(b"") == info.digest
    return _digest(path, info, sizes) == info.digest


def _digest(path: Path, info: FileInfo, given: NDArray[np.uint32] | None) -> str | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if info.head is None:
            with memoryview(data) as whole:
                return digest(whole)
        if info.head > len(data):
            return None
        sizes = _sizes(file.fileno(), data, info.head) if given is None else _filling(data, info.head, given)
        with memoryview(data)[: info.head] as part:
            return None if sizes is None else digest(part, sizes)


def _heads(data: mmap.mmap) -> Iterator[int]:
    """Yield where lists may begin: behind each place that looks like the header of some."""
    for tag, header in ((b"ilar", _ARRAYS), (b"ilbl", _BLOCKS)):
        place = data.find(tag)
        while place >= 0:
            if place + header.size <= len(data):
                if tag == b"ilbl":
                    yield place + header.size
                else:
                    *_, numbers = header.unpack_from(data, place)
                    yield place + header.size + _WORD * numbers
            place = data.find(tag, place + 1)


def _sizes(file: int, data: mmap.mmap, head: int) -> bytes | None:
    """Return the sizes of lists that begin behind the head; None unless they fill the file exactly."""
    if not 0 <= head <= len(data):
        return None
    begin = head - _BLOCKS.size
    if begin >= 0 and data[begin : begin + 4] == b"ilbl":
        return _of_blocks(file, head, *_BLOCKS.unpack_from(data, begin)[1:])
    return _of_arrays(data, head)


def _filling(data: mmap.mmap, head: int, sizes: NDArray[np.uint32]) -> bytes | None:
    """Return sizes as `_sizes` does, where lists of so many rows fill the file exactly."""
    begin = head - _BLOCKS.size
    if begin < 0 or data[begin : begin + 4] != b"ilbl":
        return None
    _, lists, _, rows, size = _BLOCKS.unpack_from(data, begin)
    if lists != len(sizes) or not rows:
        return None
    wide = sizes.astype("<u8")
    taken = _WORD * (int(wide.sum()) + 2 * lists) + int((-(-sizes.astype(np.int64) // rows)).sum()) * size
    return wide.tobytes() if head + taken == len(data) else None


def _of_arrays(data: mmap.mmap, head: int) -> bytes | None:
    """The sizes lie in the head: their vector's own number of entries tells where the header is."""
    place = data.rfind(b"ilar", 0, head)
    while place >= 0:
        if place + _ARRAYS.size <= head:
            _, lists, code, kind, numbers = _ARRAYS.unpack_from(data, place)
            if place + _ARRAYS.size + _WORD * numbers == head and lists < len(data) and code < len(data):
                sizes = np.frombuffer(data[place + _ARRAYS.size : head], "<u8")
                if kind == b"sprs":
                    sizes = sizes[1::2]
                rows = sum(map(int, sizes.tolist()))
                if kind in (b"full", b"sprs") and head + rows * (code + _WORD) == len(data):
                    return b""
        place = data.rfind(b"ilar", 0, place)
    return None


def _of_blocks(file: int, head: int, lists: int, _: int, rows: int, size: int) -> bytes | None:
    """Step from list to list; sizes are read, not mapped: of the pages between them a query needs few."""
    end, place, found = os.fstat(file).st_size, head, []
    if not rows or lists > (end - head) // (2 * _WORD):
        return None
    read, number_of = os.pread, int.from_bytes
    for _number in range(lists):
        if place + 2 * _WORD > end:
            return None
        word = read(file, _WORD, place)
        found.append(word)
        count = number_of(word, "little")
        place += _WORD * (count + 2) + -(-count // rows) * size
    return b"".join(found) if place == end else None

"""Map the keys of all rows in one file, sorted by id, so that path filters need no scan of the store.

Scanning the records of a million rows takes seconds and makes a million objects; here a prefix or a suffix is compared
eight bytes at a time with all keys at once, and nothing is read but the pages that hold them.

A large table is written once; the keys of rows that come later go to further files of the same layout, see `further_files`.

Layout: ``magic``, the number of keys, the store's count of renames, then where each key ends (uint64, little-endian), then
the keys without anything between them.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.errors import StoreCorrupt
from indexes.repair_hints import cure_of_file
from indexes.vectors import Bitmap, Ids

KEYS: Final = "keys.bin"
"""The file; further ones are called ``keys-FIRST.bin``, by the id of their first row."""

_MAGIC: Final = b"keytab\x00\x01"
_HEADER: Final = struct.Struct("<8sQQ")
_WINDOW: Final = 8  # bytes compared at once
_BLOCK: Final = 65_536
_SLASH: Final = ord("/")


class KeyTable:
    """Keys by row id; read-only, safe to share by threads.

    Attributes:
        renames: how often keys of stored rows had been changed in the store when the table was made.
    """

    def __init__(self, parts: Sequence[_Keys], *, renames: int) -> None:
        """Take over the keys of the first rows, of the rows behind them, and so on."""
        self.renames = renames
        self._parts = tuple(parts)
        self._firsts = [0, *accumulate(len(part.ends) for part in parts)]

    def __len__(self) -> int:
        """Return how many keys there are."""
        return self._firsts[-1]

    @classmethod
    def of(cls, keys: Iterable[bytes], *, renames: int = 0) -> KeyTable:
        """Make a table in memory from keys in the order of ids."""
        return cls([_laid_out(keys)], renames=renames)

    @staticmethod
    def renames_of(path: Path) -> int:
        """Return how often keys had been changed in the store when the table at ``path`` was made; its header alone is read.

        Raises:
            FileNotFoundError: there is none.
            StoreCorrupt: it is not whole.
        """
        with path.open("rb") as file:
            return _header(path, file.read(_HEADER.size))[1]

    @classmethod
    def open(cls, path: Path, *further: Path) -> KeyTable:
        """Map the table at ``path``, and those of the rows behind it.

        Raises:
            FileNotFoundError: there is none; a generation of an earlier version has none.
            StoreCorrupt: one is not whole, or the store's keys were changed between them.
        """
        mapped = [_mapped(each) for each in (path, *further)]
        renames = mapped[0][1]
        if any(other != renames for _, other in mapped):
            raise _damaged(further[-1])
        return cls([keys for keys, _ in mapped], renames=renames)

    def extended(self, keys: Iterable[bytes]) -> KeyTable:
        """Return a table of these keys and further ones; what files have of these is shared, not copied."""
        return KeyTable([*self._parts, _laid_out(keys)], renames=self.renames)

    def write(self, path: Path, *, start: int = 0) -> None:
        """Write the keys from the row ``start`` on to ``path``; the caller makes it durable.

        Args:
            path: the file.
            start: where a part begins.
        """
        parts = [part for first, part in zip(self._firsts, self._parts, strict=False) if first >= start]
        with path.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, len(self) - start, self.renames))
            begin = 0
            for part in parts:
                file.write(np.ascontiguousarray(part.ends + np.uint64(begin)).data.cast("B"))
                begin += len(part.text)
            for part in parts:
                file.write(np.ascontiguousarray(part.text).data.cast("B"))

    def keys(self, ids: Ids) -> Iterator[bytes]:
        """Yield the keys of rows, in their order."""
        if not len(ids) or int(ids.max()) < self._firsts[1]:
            yield from self._parts[0].keys(ids)
            return
        places = np.searchsorted(self._firsts, ids, side="right") - 1
        for number, place in zip(ids.tolist(), places.tolist(), strict=True):
            yield self._parts[place].key(number - self._firsts[place])

    def between(
        self, *, prefix: bytes = b"", suffix: bytes = b"", start: int = 0, stop: int | None = None
    ) -> Ids:
        """Return the ids of the keys that begin with ``prefix`` and end with ``suffix``, the two not overlapping; ascending.

        Only ids from ``start`` to before ``stop`` are looked at; about 40 bytes for each of these are held meanwhile.
        """
        stop = len(self) if stop is None else stop
        found = [
            part.between(prefix, suffix, max(start - first, 0), stop - first) + first
            for first, part in zip(self._firsts, self._parts, strict=False)
            if start < first + len(part.ends) and stop > first
        ]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def folders(self, prefix: bytes = b"", *, live: Bitmap | None = None) -> dict[bytes, int]:
        """Count the keys that begin with ``prefix`` by what each has between there and the next slash; the others are left out.

        Args:
            prefix: empty, or ends with a slash.
            live: ``(count,)`` flags of the rows that count; None for all.
        """
        found: Counter[bytes] = Counter()
        for first, part in zip(self._firsts, self._parts, strict=False):
            for start in range(0, len(part.ends), _BLOCK):
                numbers = part.between(prefix, b"", start, min(start + _BLOCK, len(part.ends)))
                if live is not None:
                    numbers = numbers[live[numbers + first]]
                part.count_folders(numbers, len(prefix), found)
        return dict(found)


class _Keys(NamedTuple):
    """Some keys: where each ends, ``(n,)``, and their bytes, one after another."""

    ends: NDArray[np.uint64]
    text: NDArray[np.uint8]

    def key(self, number: int) -> bytes:
        """Return one."""
        return self.text[int(self.ends[number - 1]) if number else 0 : int(self.ends[number])].tobytes()

    def keys(self, numbers: Ids) -> Iterator[bytes]:
        """Yield some."""
        text, ends = self.text.data, self.ends
        for number in numbers.tolist():
            yield bytes(text[int(ends[number - 1]) if number else 0 : int(ends[number])])

    def between(self, prefix: bytes, suffix: bytes, start: int, stop: int) -> Ids:
        """Return the numbers from ``start`` to before ``stop`` of those that begin and end so, ascending."""
        ends = self.ends[start:stop].astype(np.int64)  # (n,)
        first = int(self.ends[start - 1]) if 0 < start <= len(self.ends) else 0
        starts = np.concatenate((np.full(1, first, np.int64), ends[:-1]))[: len(ends)]
        ids: Ids = np.flatnonzero(ends - starts >= len(prefix) + len(suffix))
        ids = self._equal(ids, starts, prefix)
        return self._equal(ids, ends - len(suffix), suffix) + start

    def count_folders(self, numbers: Ids, skipped: int, found: Counter[bytes]) -> None:
        """Count some keys, given in ascending order, by what stands between their first bytes and the next slash."""
        if not len(numbers):
            return
        ends = self.ends[numbers].astype(np.int64)  # (n,)
        before = self.ends[np.maximum(numbers, 1) - 1].astype(np.int64)  # (n,)
        starts = np.where(numbers > 0, before, 0) + skipped  # (n,)
        slashes = np.flatnonzero(self.text[starts[0] : ends[-1]] == _SLASH) + starts[0]
        stops = np.append(slashes, ends[-1])[np.searchsorted(slashes, starts)]  # (n,)
        inside = stops < ends
        starts, lengths = starts[inside], (stops - starts)[inside]
        for length in np.unique(lengths).tolist():
            these = starts[lengths == length]  # (m,)
            if not length:
                found[b""] += len(these)
                continue
            names = self.text[these[:, np.newaxis] + np.arange(length)]  # (m, length)
            each, counts = np.unique(names.view(f"V{length}"), return_counts=True)
            for name, count in zip(each, counts.tolist(), strict=True):
                found[name.tobytes()] += count

    def _equal(self, ids: Ids, places: NDArray[np.int64], word: bytes) -> Ids:
        """Keep the numbers at whose place the text reads ``word``."""
        whole = len(word) // _WINDOW * _WINDOW
        if whole and len(self.text) >= _WINDOW:
            # Every offset as the eight bytes from there on; numpy reads them unaligned.
            windows: NDArray[Any] = np.lib.stride_tricks.as_strided(
                self.text[:_WINDOW].view("<u8"), (len(self.text) - _WINDOW + 1,), (1,), writeable=False
            )
            for start in range(0, whole, _WINDOW):
                (part,) = struct.unpack_from("<Q", word, start)
                ids = ids[windows[places[ids] + start] == np.uint64(part)]
        for start in range(whole, len(word)):
            ids = ids[self.text[places[ids] + start] == word[start]]
        return ids


def _mapped(path: Path) -> tuple[_Keys, int]:
    """Map the keys in a file, and return the store's count of renames with them."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        count, renames = _header(path, file.read(_HEADER.size))
        if size < _HEADER.size + 8 * count:
            raise _damaged(path)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    ends = np.frombuffer(data, "<u8", count, _HEADER.size)
    begin = _HEADER.size + 8 * count
    text = np.frombuffer(data, np.uint8, -1, begin) if size > begin else _NONE
    if count and (int(ends[-1]) != len(text) or bool((ends[1:] < ends[:-1]).any())):
        raise _damaged(path)
    return _Keys(ends, text), renames


def _header(path: Path, head: bytes) -> tuple[int, int]:
    """Return the number of keys and the store's count of renames."""
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        raise _damaged(path)
    _, count, renames = _HEADER.unpack(head)
    return count, renames


def _laid_out(keys: Iterable[bytes]) -> _Keys:
    """Lay out keys; one block of them at a time is held as objects."""
    parts, lengths = [], []
    source = iter(keys)
    while block := list(islice(source, _BLOCK)):
        parts.append(b"".join(block))
        lengths.append(np.fromiter(map(len, block), dtype=np.uint64, count=len(block)))
    ends = np.cumsum(np.concatenate([np.empty(0, np.uint64), *lengths]), dtype=np.uint64)
    return _Keys(ends, np.frombuffer(b"".join(parts), dtype=np.uint8))


_NONE: Final = np.empty(0, dtype=np.uint8)


def _damaged(path: Path) -> StoreCorrupt:
    return StoreCorrupt(f"{path}: not a whole table of keys; {cure_of_file(path)}")

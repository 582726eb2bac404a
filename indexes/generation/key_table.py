"""Map the keys of all rows in one file, sorted by id, so that path filters need no scan of the store.

Scanning the records of a million rows takes seconds and makes a million objects; here a prefix or a suffix is compared
eight bytes at a time with all keys at once, and nothing is read but the pages that hold them.

Layout: ``magic``, the number of keys, the store's count of renames, then where each key ends (uint64, little-endian), then
the keys without anything between them.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.errors import StoreCorrupt
from indexes.repair_hints import cure_of_file
from indexes.vectors import Bitmap, Ids

KEYS: Final = "keys.bin"

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

    def __init__(self, whole: _Keys, more: _Keys | None = None, *, renames: int) -> None:
        """Take over keys, and those of the rows behind them."""
        self.renames = renames
        self._whole = whole
        self._more = _laid_out(()) if more is None else more

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._whole.ends) + len(self._more.ends)

    @classmethod
    def of(cls, keys: Iterable[bytes], *, renames: int = 0) -> KeyTable:
        """Make a table in memory from keys in the order of ids."""
        return cls(_laid_out(keys), renames=renames)

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
    def open(cls, path: Path) -> KeyTable:
        """Map the table at ``path``.

        Raises:
            FileNotFoundError: there is none; a generation of an earlier version has none.
            StoreCorrupt: it is not whole.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            count, renames = _header(path, file.read(_HEADER.size))
            if size < _HEADER.size + 8 * count:
                raise _damaged(path)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        ends = np.frombuffer(data, "<u8", count, _HEADER.size)
        text = (
            np.frombuffer(data, np.uint8, -1, _HEADER.size + 8 * count)
            if size > _HEADER.size + 8 * count
            else _NONE
        )
        if count and (int(ends[-1]) != len(text) or bool((ends[1:] < ends[:-1]).any())):
            raise _damaged(path)
        return cls(_Keys(ends, text), renames=renames)

    def extended(self, keys: Iterable[bytes]) -> KeyTable:
        """Return a table of these keys and further ones; what a file has of these is shared, not copied."""
        before = self._more.keys(np.arange(len(self._more.ends)))
        return KeyTable(self._whole, _laid_out(chain(before, keys)), renames=self.renames)

    def write(self, path: Path) -> None:
        """Write the table to ``path``; the caller makes it durable."""
        whole, more = self._whole, self._more
        with path.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, len(self), self.renames))
            for part in (whole.ends, more.ends + np.uint64(len(whole.text)), whole.text, more.text):
                file.write(np.ascontiguousarray(part).data.cast("B"))

    def keys(self, ids: Ids) -> Iterator[bytes]:
        """Yield the keys of rows, in their order."""
        last = len(self._whole.ends)
        if not len(ids) or int(ids.max()) < last:
            yield from self._whole.keys(ids)
            return
        for number in ids.tolist():
            yield self._whole.key(number) if number < last else self._more.key(number - last)

    def between(
        self, *, prefix: bytes = b"", suffix: bytes = b"", start: int = 0, stop: int | None = None
    ) -> Ids:
        """Return the ids of the keys that begin with ``prefix`` and end with ``suffix``, the two not overlapping; ascending.

        Only ids from ``start`` to before ``stop`` are looked at; about 40 bytes for each of these are held meanwhile.
        """
        last, stop = len(self._whole.ends), len(self) if stop is None else stop
        ids = self._whole.between(prefix, suffix, start, stop)
        if stop <= last:
            return ids
        further = self._more.between(prefix, suffix, max(start - last, 0), stop - last)
        return np.concatenate((ids, further + last))

    def folders(self, prefix: bytes = b"", *, live: Bitmap | None = None) -> dict[bytes, int]:
        """Count the keys that begin with ``prefix`` by what each has between there and the next slash; the others are left out.

        Args:
            prefix: empty, or ends with a slash.
            live: ``(count,)`` flags of the rows that count; None for all.
        """
        found: Counter[bytes] = Counter()
        first = 0
        for part in (self._whole, self._more):
            for start in range(0, len(part.ends), _BLOCK):
                numbers = part.between(prefix, b"", start, min(start + _BLOCK, len(part.ends)))
                if live is not None:
                    numbers = numbers[live[numbers + first]]
                part.count_folders(numbers, len(prefix), found)
            first += len(part.ends)
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

"""Look up the files behind a collection's rows by their keys: 29 bytes a row, no Python object each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.store import keys_and_stamps
from retrieval.sources.media import split_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Ids

_SHORT = 16  # bytes of a stamp that holds a size and a time


class StoredFiles:
    """The live rows of a collection's files; rows that were added by hand are left out.

    They are looked up by a hash of their keys. A source mostly lists its files in the order in which they were stored: as long as it does,
    each batch is compared with the rows that follow. From the first one that differs on, the rows are sorted by hash.

    Python's own hash of bytes has 64 bits and a secret of the process: among ten million rows two have the same one once in
    about 400,000 builds, and then one of the two would be taken for the other by that build.

    Attributes:
        ids: ``(n,)`` ids of the rows.
        stamps: ``(n, 2)`` uint64: size in bytes, and the time of modification modulo 2^64 ns.
        found: ``(n,)`` flags, set by `find` and `find_parts`.
        parts: key of a film or document → ids and stamps of the rows of its pictures.
    """

    ids: NDArray[Any]
    stamps: NDArray[np.uint64]
    found: NDArray[np.bool_]
    parts: dict[bytes, list[tuple[int, bytes]]]

    def __init__(
        self,
        hashes: NDArray[np.int64],
        ids: NDArray[Any],
        stamps: NDArray[np.uint64],
        parts: dict[bytes, list[tuple[int, bytes]]] | None = None,
    ) -> None:
        """Take over arrays, in the order in which the rows were stored."""
        self._hashes, self.ids, self.stamps = hashes, ids, stamps
        self.found = np.zeros(len(ids), dtype=np.bool_)
        self.parts = parts or {}
        self._by_id: NDArray[np.intp] | None = None
        self._next: int | None = 0  # the place of the row that is expected next; None once they are sorted

    def _sort(self) -> None:
        """Sort the rows by the hashes of their keys, so that each can be found."""
        if self._next is None:
            return
        order = np.argsort(self._hashes)
        columns = (self._hashes, self.ids, self.stamps[:, 0], self.stamps[:, 1], self.found)
        for column in columns:  # one at a time: each is held twice meanwhile
            column[:] = column[order]
        self._next = self._by_id = None

    @classmethod
    def of(cls, blocks: Iterable[tuple[Ids, Sequence[bytes]]], *, most: int) -> Self:
        """Read blocks of packed records, as `VectorStore.packed` yields them; rows without a stamp are no files'.

        Args:
            blocks: of ids and records.
            most: rows that they have at most, all ids are below it.
        """
        # What is never filled takes no memory.
        hashes = np.empty(most, np.int64)
        ids: NDArray[Any] = np.empty(most, np.uint32 if most <= 1 << 32 else np.int64)
        stamps = np.empty((2, most), np.uint64).T  # (n, 2), each column by itself
        parts: dict[bytes, list[tuple[int, bytes]]] = {}
        done = 0
        for all_numbers, records in blocks:
            numbers, (keys, marks) = all_numbers, keys_and_stamps(records)
            if not all(marks):
                own = [place for place, stamp in enumerate(marks) if stamp]
                keys, marks = [keys[place] for place in own], [marks[place] for place in own]
                numbers = numbers[own]
            if b"#" in b"".join(keys):  # mostly none has one, which one look says sooner than one a row
                for number, key, stamp in zip(numbers.tolist(), keys, marks, strict=True):
                    if b"#" in key and (split := split_key(key)) is not None:
                        parts.setdefault(split[0], []).append((number, stamp))
            here = slice(done, done + len(keys))
            hashes[here] = _hashes(keys)
            stamps[here] = _numbers(marks)
            ids[here] = numbers
            done += len(keys)
        return cls(hashes[:done], ids[:done], stamps[:done], parts)

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, keys: Sequence[bytes], stamps: Sequence[bytes]) -> tuple[Bitmap, Bitmap]:
        """Mark the rows of some files as found.

        Args:
            keys, stamps: of the files.
        Returns:
            flags ``(m,)`` of files that have a row, and of those that are as they were when it was stored.
        """
        known, unchanged = np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.bool_)  # (m,)
        if not len(self):
            return known, unchanged
        hashes = _hashes(keys)
        if self._next is not None:
            here = slice(self._next, self._next + len(keys))
            if np.array_equal(self._hashes[here], hashes):
                self._next, self.found[here], known[:] = here.stop, True, True
                return known, _equal(self.stamps[here], _numbers(stamps))
            self._sort()
        order = np.argsort(hashes)  # in their order they are found in a third of the time among ten million
        hashes = hashes[order]
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self) - 1)
        there = self._hashes[places] == hashes
        self.found[places[there]] = True
        known[order] = there
        unchanged[order] = there & _equal(self.stamps[places], _numbers(stamps)[order])
        return known, unchanged

    def find_parts(self, key: bytes, stamp: bytes) -> tuple[int, bool]:
        """Mark the rows of a film's or document's pictures as found.

        Args:
            key: the file's.
            stamp: that its pictures have once all are stored.
        Returns:
            how many there are, and whether all have that stamp.
        """
        rows = self.parts.get(key, ())
        if not rows:
            return 0, False
        if self._by_id is None:
            self._by_id = np.argsort(self.ids)
        numbers = np.array([number for number, _ in rows])
        self.found[self._by_id[np.searchsorted(self.ids, numbers, sorter=self._by_id)]] = True
        return len(rows), all(found == stamp for _, found in rows)

    def forget(self, key: bytes) -> None:
        """Take a file for missing after all."""
        self._sort()
        place = int(np.searchsorted(self._hashes, hash(key)))
        if place < len(self) and self._hashes[place] == hash(key):
            self.found[place] = False

    def moved(self, stamps: Iterable[bytes]) -> int:
        """Return how many rows that were not found have one of these stamps: their file has another name now.

        Args:
            stamps: of files without a row.
        """
        missing = self.stamps[~self.found]  # (n, 2)
        own = _numbers(list(stamps))
        rows, files = (np.ascontiguousarray(pairs).view("u8,u8").ravel() for pairs in (missing, own))
        return int(np.count_nonzero(np.isin(rows, files)))

    def sizes(self) -> NDArray[np.uint64]:
        """Return the sizes in bytes of the files, ascending, each once."""
        ordered = np.sort(self.stamps[:, 0])  # numpy's own `unique` takes ten times as long
        new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        sizes: NDArray[np.uint64] = ordered[new]
        return sizes


def _hashes(keys: Sequence[bytes]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, keys), np.int64, count=len(keys))


def _equal(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> Bitmap:
    """Say of each pair of stamps whether they are the same."""
    same: Bitmap = (some[:, 0] == others[:, 0]) & (some[:, 1] == others[:, 1])
    return same


def _numbers(stamps: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return the first two numbers of stamps ``(m, 2)``; of an empty one, numbers that no file has."""
    joined = b"".join(stamps)
    if not {_SHORT}.issuperset(map(len, stamps)):
        joined = b"".join((stamp + bytes(_SHORT))[:_SHORT] if stamp else b"\xff" * _SHORT for stamp in stamps)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64).reshape(-1, 2)

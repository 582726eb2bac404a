"""Keep the keys of a long listing as hashes: eight bytes a key, no Python object each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap


class DistinctKeys:
    """The keys that were met so far, by Python's own hash of 64 bits.

    Among ten million keys two different ones have the same hash once in about 400,000 runs; the second would be left out of
    that run.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []  # sorted, each at least twice as long as the next

    def add(self, keys: Sequence[bytes]) -> Bitmap:
        """Take in some keys; return ``(m,)`` flags of those that were not met before, in this call either."""
        hashes = np.fromiter(map(hash, keys), np.int64, count=len(keys))
        is_new: Bitmap = np.zeros(len(keys), dtype=np.bool_)
        values, first = np.unique(hashes, return_index=True)
        is_new[first] = True
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, values), len(run) - 1)
            met = run[places] == values
            is_new[first[met]] = False
        self._take(hashes[is_new])
        return is_new

    def _take(self, hashes: NDArray[np.int64]) -> None:
        """Keep sorted hashes, merged with runs that are not much longer."""
        if not len(hashes):
            return
        run = np.sort(hashes)
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)


class KeyPlaces:
    """Where each key of a listing stands: its number from 0, found by the hash of the key.

    Args:
        keys: blocks of keys, in order; an empty one has a number and is never found.
    """

    def __init__(self, keys: Iterable[Sequence[bytes]]) -> None:
        blocks = [np.fromiter(map(hash, block), np.int64, count=len(block)) for block in keys]
        hashes = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, key: bytes) -> int | None:
        """Return the number of the first key with this hash; None if there is none. Whoever must be sure compares the key."""
        place = int(np.searchsorted(self._hashes, hash(key)))
        if not key or place == len(self) or self._hashes[place] != hash(key):
            return None
        return int(self._order[place])

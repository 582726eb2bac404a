"""Fold rows of the same bytes, then of the same pixels, into classes that are looked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from indexes.vectors import Ids


class Classes:
    """Which rows are the same image.

    Args:
        count: how many rows there are.
    """

    def __init__(self, count: int) -> None:
        self.first = np.arange(count, dtype=np.int64)  # (count,): the first row of each row's class
        self._members: dict[int, list[int]] = {}

    def fold_contents(self, contents: NDArray[np.uint64], rows: Ids) -> None:
        """Fold rows with the same content hash.

        Args:
            contents: ``(count, 2)``, zeros for rows without one.
            rows: the rows that count, ascending.
        """
        known = rows[contents[rows].any(axis=1)]
        if not len(known):
            return
        order = known[np.lexsort((known, contents[known, 1], contents[known, 0]))]
        values = contents[order]
        begins = np.r_[True, (values[1:] != values[:-1]).any(axis=1)]
        starts = np.flatnonzero(begins)
        self.first[order] = order[starts][np.cumsum(begins) - 1]
        for start, stop in zip(starts, np.r_[starts[1:], len(order)], strict=True):
            if stop - start > 1:
                self._members[int(order[start])] = order[start:stop].tolist()

    def fold_pixels(self, pairs: Iterable[tuple[int, int]], pixels: Callable[[int], bytes]) -> None:
        """Fold the classes of pairs of rows whose pixels have one hash."""
        for one, other in pairs:
            first, second = int(self.first[one]), int(self.first[other])
            if first == second:
                continue
            mark = pixels(first)
            if mark and mark == pixels(second):
                large, small = self.members(first), self.members(second)
                if len(small) > len(large):  # so that the work grows as the rows
                    first, second, large, small = second, first, small, large
                self.first[small] = first
                self._members.pop(second, None)
                self._members[first] = large if first in self._members else list(large)
                self._members[first].extend(small)

    def members(self, row: int) -> list[int]:
        """Return the rows of the class whose first row is given."""
        return self._members.get(row, [row])

    def several(self) -> list[int]:
        """Return the first rows of the classes of more than one row."""
        return sorted(self._members)

    def of_pairs(
        self, pairs: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return pairs of rows as pairs of classes, each once, and the best score of each."""
        if not len(pairs):
            return pairs, scores
        folded = np.sort(self.first[pairs], axis=1)
        apart = folded[:, 0] != folded[:, 1]
        folded, kept = folded[apart], scores[apart]
        order = np.lexsort((-kept, folded[:, 1], folded[:, 0]))
        folded, kept = folded[order], kept[order]
        fresh = np.r_[True, (folded[1:] != folded[:-1]).any(axis=1)] if len(folded) else np.empty(0, np.bool_)
        return folded[fresh], kept[fresh]

"""Collect the best partners of a block of rows, whichever order they are found in and by however many threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import Ids, Vectors

SLACK = np.float32(1e-5)
"""More than two orders of summation can differ in a float32 cosine."""

SPARE = 8
"""Partners kept beside those wanted: which of near ties are best is decided by exact cosines."""


class Partners:
    """The best partners so far of some rows, as one thread found them.

    Args:
        ids: ``(b,)`` the rows.
        limits: ``(b,)`` float32 scores that a partner has to reach, shared by all threads.
        found: ``(b,)`` int64, shared: how many partners reached the threshold.
        floor: the first limits.
        at_most: partners wanted of each.
        waiting: partners to keep before the best are chosen.
    """

    def __init__(self, ids: Ids, limits: Vectors, *, floor: Vectors, at_most: int, waiting: int) -> None:
        self._ids, self._limits, self._floor = ids, limits, floor
        self._kept, self._most, self._waiting = at_most + SPARE, waiting, 0
        self.found = np.zeros(len(ids), dtype=np.int64)
        self._parts: list[tuple[Ids, Ids, Vectors]] = []

    def take(self, scores: Vectors, whose: Ids, members: Ids) -> None:
        """Keep what may count of a tile.

        Args:
            scores: ``(m, c)``.
            whose: ``(m,)`` the places of its rows among those asked, each once.
            members: ``(c,)`` the rows that they were compared with.
        """
        width = len(members)
        limits, floor = self._limits[whose], self._floor[whose]
        hits = np.flatnonzero(scores >= limits[:, np.newaxis])
        raised = np.flatnonzero(limits > floor)
        if not len(hits) and not len(raised):
            return
        row, column = np.divmod(hits, width)
        other = members[column] != self._ids[whose[row]]
        own = np.bincount(row[~other], minlength=len(whose))
        row, column = row[other], column[other]
        counts = np.bincount(row, minlength=len(whose))
        if len(raised):  # what falls short of their limits is counted all the same
            reached = np.count_nonzero(scores[raised] >= floor[raised, np.newaxis], axis=1)
            counts[raised] = reached - own[raised]
        self.found[whose] += counts
        if not len(row):
            return
        many = np.flatnonzero(np.bincount(row, minlength=len(whose)) > self._kept)
        if len(many):
            few = ~np.isin(row, many)
            rest = width - self._kept - 1
            best = np.argpartition(scores[many], rest, axis=1)[:, rest:]  # (m, kept + 1)
            self._raise(whose[many], np.take_along_axis(scores[many], best[:, :1], axis=1)[:, 0])
            best_row = np.repeat(many, self._kept + 1)
            best_column = best.ravel()  # one of them may be the row itself
            other = members[best_column] != self._ids[whose[best_row]]
            row = np.concatenate((row[few], best_row[other]))
            column = np.concatenate((column[few], best_column[other]))
        self._parts.append((whose[row], members[column], scores[row, column]))
        self._waiting += len(row)
        if self._waiting > self._most:
            self._choose()

    @property
    def lowest(self) -> np.float32:
        """The least score that any row's partner has to reach."""
        least: np.float32 = self._floor.min()
        return least

    def take_pairs(self, whose: Ids, members: Ids, scores: Vectors) -> None:
        """Keep what may count of pairs, all that reach `lowest` of the rows compared.

        Args:
            whose: ``(p,)`` places of rows among those asked.
            members: ``(p,)`` the rows that they were compared with.
            scores: ``(p,)``.
        """
        reached = np.flatnonzero((scores >= self._floor[whose]) & (members != self._ids[whose]))
        whose, members, scores = whose[reached], members[reached], scores[reached]
        np.add.at(self.found, whose, 1)
        some = np.flatnonzero(scores >= self._limits[whose])
        if len(some):
            self._parts.append((whose[some], members[some], scores[some]))
            self._waiting += len(some)
            if self._waiting > self._most:
                self._choose()

    def _choose(self) -> None:
        """Keep each row's best, and let later partners reach the last of them."""
        whose, members, scores = best_of(*self.all(), at_most=self._kept)
        self._parts, self._waiting = [(whose, members, scores)], 0
        if not len(whose):
            return
        ends = np.flatnonzero(np.append(whose[1:] != whose[:-1], True))
        counts = np.diff(np.append(-1, ends))
        full = ends[counts >= self._kept]
        self._raise(whose[full], scores[full])

    def _raise(self, rows: Ids, reached: Vectors) -> None:
        """Let partners of some rows be at least as good as what as many others as are kept have reached."""
        self._limits[rows] = np.maximum(self._limits[rows], reached - SLACK)

    def all(self) -> tuple[Ids, Ids, Vectors]:
        """Return what was kept: places of rows, their partners, and scores, ``(p,)`` each, in no order."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        whose, members, scores = zip(*self._parts, strict=True)
        return np.concatenate(whose), np.concatenate(members), np.concatenate(scores)


def best_of(whose: Ids, members: Ids, scores: Vectors, *, at_most: int) -> tuple[Ids, Ids, Vectors]:
    """Return each row's best partners, row by row and best first; which of equal ones is chance."""
    order = np.argsort(_keys(whose, scores))
    whose = whose[order]
    first = np.flatnonzero(np.append(True, whose[1:] != whose[:-1])) if len(whose) else whose
    place = np.arange(len(whose)) - np.repeat(first, np.diff(np.append(first, len(whose))))
    kept = place < at_most
    order = order[kept]
    return whose[kept], members[order], scores[order]


def _keys(whose: Ids, scores: Vectors) -> NDArray[np.uint64]:
    """Return numbers that sort by row, then by falling score: one array is sorted four times as fast as two."""
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32)
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))  # as integers these sort as the floats do
    return (whose.astype(np.uint64) << np.uint64(32)) | (~rising).astype(np.uint64)

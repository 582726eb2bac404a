"""Find the pairs of rows whose cosine reaches a threshold: block by block of rows, cell by cell.

Rows that lie near each other share a cell or lie in cells that do. So a row is compared with the rows of a few cells: those whose
centroids score at most a gap below the best one, which a sample says. The rows of a block are grouped by the cells that they need,
and each cell is multiplied with its group at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import count as counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from indexes.engine import Floats, in_threads, ivf, threads
from indexes.join import cells as grouping
from indexes.join.cells import Cells, compared
from indexes.join.pairs import Pairs
from indexes.join.partners import SLACK, SPARE, Partners, best_of
from indexes.join.reach import FEW, Reach, measured, scores_of_cells
from indexes.join.small_tiles import compare_together, stretches
from indexes.join.wide_rows import lengths, unit, wide
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, StackedRows, Vectors, one_blas_thread, rescored

DIRECT = 1 << 31
"""Comparisons up to which every row is compared with every other: they take a few seconds."""

_DIRECT_FEW = (
    DIRECT >> 5
)  # comparisons of few rows up to which that is sooner than reading the lists of an index
_MEMORY = 1 << 28  # bytes that the partners of one block may take
_PARTNER = 48  # bytes that one takes while the best are chosen
_LARGEST = 1 << 17  # rows of a block
_SCORES = 1 << 18  # scores looked at together: they stay in the cache
_COMPARED = 16_384  # rows that a row is compared with, at most
_CELLS = 64  # cells of a row that needs more comparisons than that
_RESCORED = 1 << 16  # pairs whose exact cosines are computed at a time
_TIE = np.float32(
    1e-6
)  # near enough to the last partner of a full list that this may have been chosen by chance


class SelfJoin:
    """The pairs of some rows with all.

    Args:
        rows: ``(n, d)`` float16; stacked ones, too.
        threshold: the least cosine of a pair.
        at_most: partners that a row names; the best ones.
        live: ``(n,)`` flags of the rows that may be in a pair; None for all.
        asked: ``(q,)`` the rows whose pairs are wanted, ascending; None for all that may be in one.
        index: a FAISS index over the rows; its inverted lists are the cells. A list has one, or None, for each array of
            stacked rows; all are of one training.
    """

    def __init__(
        self,
        rows: Halves | StackedRows,
        *,
        threshold: float,
        at_most: int,
        live: Bitmap | None = None,
        asked: Ids | None = None,
        index: Any = None,
    ) -> None:
        # Stacked rows are read as an array is.
        self._rows, self._live = cast("Halves", rows), live
        listed = index if isinstance(index, list) else [index]
        self._indexes = [one if one is not None and ivf.lists_of(one) else None for one in listed]
        self._threshold, self._at_most = threshold, at_most
        self._found = np.arange(len(rows)) if live is None else np.flatnonzero(live)
        self._asked = self._found if asked is None else asked
        self._block = max(256, min(_LARGEST, _MEMORY // (_PARTNER * at_most)))
        # What rows of earlier blocks named: the score of the last one, and how far they looked. Others named nothing.
        self._last = np.full(len(rows), np.inf, dtype=np.float32)
        self._least = np.full(len(rows), -np.inf, dtype=np.float32)

    @property
    def blocks(self) -> int:
        """How many blocks of rows there are."""
        return -(-len(self._asked) // self._block)

    @cached_property
    def cells(self) -> Cells:
        """The rows by cells."""
        comparisons = len(self._asked) * len(self._found)
        few = len(self._asked) * FEW <= len(self._found)
        if any(one is not None for one in self._indexes):
            if comparisons > (_DIRECT_FEW if few else DIRECT):
                return grouping.of_indexes(self._indexes, self._rows, self._live, threshold=self._threshold)
        elif comparisons > DIRECT and not few:
            return grouping.trained(self._rows, self._live, threshold=self._threshold)
        return grouping.whole(len(self._rows), self._found)

    @cached_property
    def reach(self) -> Reach | None:
        """Which cells are searched for a row; None for all of them."""
        if self.cells.centroids is None:
            return None
        return measured(
            self._rows,
            self.cells,
            self._asked,
            self._live,
            threshold=self._threshold,
            at_most=self._at_most,
        )

    def pairs(self, block: int) -> Pairs:
        """Find the pairs of a block of rows that earlier calls have not given."""
        asked = self._asked[block * self._block : (block + 1) * self._block]  # (b,)
        whose, members, scores, cut = self._partners(asked)
        self._last[asked] = -np.inf
        ends = np.flatnonzero(np.append(whose[1:] != whose[:-1], True)) if len(whose) else whose
        full = ends[np.diff(np.append(-1, ends)) >= self._at_most]
        one = asked[whose]
        fresh = ~self._named(members, one, scores, before=asked[0]) if len(asked) else np.empty(0, np.bool_)
        self._last[one[full]] = scores[full]
        one, other, scores = one[fresh], members[fresh], scores[fresh]
        low, high = np.minimum(one, other), np.maximum(one, other)
        _, first = np.unique(low * len(self._rows) + high, return_index=True)  # in their order
        return Pairs(
            ids_a=low[first],
            ids_b=high[first],
            scores=scores[first],
            block=block,
            blocks=self.blocks,
            rows=len(asked),
            cut=cut,
        )

    def _named(self, earlier: Ids, later: Ids, scores: Vectors, *, before: int) -> Bitmap:
        """Say of pairs whether the one row, if it was asked before, has named the other: certainly, not only perhaps."""
        named = (earlier < before) & (scores > self._last[earlier] + _TIE)
        named &= self.cells.cell_of[later] >= 0
        if self.cells.centroids is not None:
            some = np.flatnonzero(named)
            seen = scores_of_cells(self._rows, self.cells, earlier[some], self.cells.cell_of[later[some]])
            named[some] = seen > self._least[earlier[some]] + SLACK
        return named

    def _partners(self, asked: Ids) -> tuple[Ids, Ids, Vectors, int]:
        """Return the best partners of some rows: their places, the partners, exact cosines, and how many were cut.

        They are in the order of the rows, the best partner of each first, ties by smaller id.
        """
        group = self._groups(asked)
        norms = np.empty(len(asked), dtype=np.float32)
        for start in range(0, len(asked), 4096):
            part = slice(start, start + 4096)
            norms[part] = lengths(wide(self._rows, asked[part]))
        floor = (np.float32(self._threshold) - SLACK) * norms
        limits = floor.copy()
        together = stretches(self.cells, group)
        workers = max(1, min(threads(), len(together)))
        numbers = counter()

        def work() -> Partners:
            kept = Partners(
                asked,
                limits,
                floor=floor,
                at_most=self._at_most,
                waiting=2 * max(len(asked), 1024) * self._at_most // workers,
            )
            while (number := next(numbers)) < len(together):
                stretch = together[number]
                if len(stretch) == 1:
                    self._compare(stretch[0], asked, group(stretch[0]), kept)
                else:
                    compare_together(self._rows, self.cells, stretch, asked=asked, group=group, kept=kept)
            return kept

        with one_blas_thread():  # small tiles are multiplied by numpy
            parts = in_threads(work, workers=workers)
        found = np.sum([part.found for part in parts], axis=0)
        everything = [np.concatenate(some) for some in zip(*(part.all() for part in parts), strict=True)]
        place, members, _ = best_of(*everything, at_most=self._at_most + SPARE)
        place, members, scores = self._exactly(asked, place, members)
        cut = np.maximum(found - self._at_most, 0).sum()
        if self.cells.hidden is not None:
            cut += self.cells.hidden[asked].sum()
        return place, members, scores, int(cut)

    def _compare(self, cell: int, asked: Ids, whose: Ids, kept: Partners) -> None:
        """Compare the rows of a cell with those that need it."""
        members = self.cells.members(cell)
        product = Floats(unit(self._rows, members))
        step = max(64, _SCORES // len(members))
        buffer = np.empty((min(step, len(whose)), len(members)), dtype=np.float32)
        for start in range(0, len(whose), step):
            some = whose[start : start + step]
            scores = buffer[: len(some)]
            product.scores(self._rows[asked[some]], scores)
            kept.take(scores, some, members)

    def _groups(self, asked: Ids) -> Callable[[int], Ids]:
        """Return a function that gives the places of those rows that need a cell."""
        cells, reach = self.cells, self.reach
        if cells.centroids is None or reach is None:
            every = np.arange(len(asked))
            return lambda _cell: every
        sizes, found = cells.sizes, {}

        def write(start: int, scores: NDArray[np.float32]) -> None:
            least = scores.max(axis=1) - np.float32(reach.gap)
            row, cell = _at_least(scores, least)
            compared_with = np.bincount(row, sizes[cell], minlength=len(scores))
            long = np.flatnonzero(compared_with > _COMPARED)
            if len(long):
                for one in long.tolist():
                    least[one] = max(least[one], _least_of_nearest(scores[one], sizes))
                row, cell = _at_least(scores, least)
            self._least[asked[start : start + len(scores)]] = least
            found[start] = (row + start, cell)

        compared(self._rows, asked, cells.centroids, write)
        parts = [found[start] for start in sorted(found)]
        whose = np.concatenate([row for row, _ in parts])
        number = np.concatenate([cell for _, cell in parts])
        order = np.argsort(number, kind="stable")
        places = np.searchsorted(number, np.arange(len(cells) + 1), sorter=order)
        whose = whose[order]
        return lambda cell: whose[places[cell] : places[cell + 1]]

    def _exactly(self, asked: Ids, whose: Ids, members: Ids) -> tuple[Ids, Ids, Vectors]:
        """Compute exact cosines, and order and cut each row's partners by them."""
        scores = np.empty(len(whose), dtype=np.float32)
        starts = counter(0, _RESCORED)

        def work() -> None:
            while (start := next(starts)) < len(whose):
                part = slice(start, start + _RESCORED)
                pair = Neighbors(ids=members[part, np.newaxis], scores=scores[part, np.newaxis])
                scores[part] = rescored(pair, wide(self._rows, asked[whose[part]]), self._rows).scores[:, 0]

        in_threads(work, workers=max(1, min(threads(), len(whose) // _RESCORED)))
        enough = np.flatnonzero(scores >= np.float32(self._threshold))
        order = enough[np.lexsort((members[enough], -scores[enough], whose[enough]))]
        whose, members, scores = whose[order], members[order], scores[order]
        first = np.flatnonzero(np.append(True, whose[1:] != whose[:-1])) if len(whose) else whose
        place = np.arange(len(whose)) - np.repeat(first, np.diff(np.append(first, len(whose))))
        kept = place < self._at_most
        return whose[kept], members[kept], scores[kept]


def _at_least(scores: NDArray[np.float32], least: NDArray[np.float32]) -> tuple[Ids, Ids]:
    """Return rows and cells ``(p,)`` of the scores ``(b, c)`` that reach what their row is to reach, ``(b,)``."""
    row, cell = np.divmod(np.flatnonzero(scores >= least[:, np.newaxis]), scores.shape[1])
    return row, cell


def _least_of_nearest(scores: NDArray[np.float32], sizes: Ids) -> np.float32:
    """Return the least score of the nearest cells that together hold no more rows than a row is compared with."""
    nearest = np.argpartition(scores, -min(_CELLS, len(scores)))[-_CELLS:]
    nearest = nearest[np.argsort(-scores[nearest])]
    within = int(np.searchsorted(np.cumsum(sizes[nearest]), _COMPARED, side="right"))
    least: np.float32 = scores[nearest[max(within, 1) - 1]]
    return least

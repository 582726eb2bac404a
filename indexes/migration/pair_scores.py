"""Score a query with rows of both sides on one scale: `Background.scores` for the few rows that were found for one query.

After a search in an index the caches hold little of numpy, and each of its functions costs microseconds. So there are few calls:
a side's rows are multiplied once, and both sides' formula is computed together.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import Halves, floats

if TYPE_CHECKING:
    from indexes.migration.background import Background, Side

__all__ = ["Asked", "PairScores"]

_LEAST = 1e-6
_DAMAGED = (
    2.0**32
)  # square of what `floats` makes of infinities and NaN at least; stored rows have length one
_SALIENT = 4.0
"""Standard deviations above the mean at which a query's neighbours score: a little below the 4.7 to 6.7 of photographs."""


class Asked(NamedTuple):
    """A query in one space, as `PairScores.ask` prepares it.

    Attributes:
        factors: ``(3, d)`` what rows are multiplied with: the query about the mean, by its length; the mean, twice; the query.
        plain: ``(1, d)`` the unit row whose plain cosines order rows nearly as the cosines about the mean do: so one search as
            usual finds them.
        common: what each row has of the first product in common.
        mean, spread: the mean and the standard deviation of what it scores with the sample, about the mean.
    """

    factors: NDArray[np.float32]
    plain: NDArray[np.float32]
    common: float
    mean: float
    spread: float


class _Probe:
    """What queries of one side are multiplied with."""

    def __init__(self, side: Side) -> None:
        self.mean, self.rest = side.mean, side.rest
        self.square = float(side.mean @ side.mean)
        self.axes = np.ascontiguousarray(
            np.vstack((side.axes.T, side.centre, side.mean)), dtype=np.float32
        )  # (a + 2, d)
        self.of_mean = self.axes @ side.mean  # (a + 2,)

    def ask(self, query: NDArray[np.float32]) -> Asked:
        """Say where a unit query ``(d,)`` lies about the mean, and what it scores with the sample."""
        # Row by row: BLAS would share the whole of so small a product out to threads, and wait for them on a busy machine.
        seen = np.vecdot(self.axes, query) - self.of_mean  # (a + 2,), of the query about the mean
        square, (by_centre, by_mean), axes = self.square, seen[-2:].tolist(), seen[:-2]
        along = by_mean + square
        length = max(sqrt(max(1 - 2 * along + square, 0)), _LEAST)
        spread = max(sqrt(float(axes @ axes) / length**2 + self.rest), _LEAST)
        mean = by_centre / length
        # A row g scores asked·(g - m) / |g - m|. Where the best rows are, that grows with asked·g and, as the length falls with
        # m·g, with this too: by the score over the length. What is asked is (query - m) / length.
        by_query = 1 / length
        by_mean = min(mean + _SALIENT * spread, 1) / sqrt(max(1 - square, _LEAST)) - by_query
        size = max(sqrt(max(by_query**2 + 2 * by_query * by_mean * along + by_mean**2 * square, 0)), _LEAST)
        weights = np.array(
            ((by_query, -by_query), (0, 2), (1, 0), (by_query / size, by_mean / size)), dtype=np.float32
        )
        found = weights @ np.array((query, self.mean))  # (4, d)
        return Asked(found[:3], found[3:], -by_query * (along - square), mean, spread)


class PairScores:
    """Scores queries of both spaces with rows of both, on one scale; safe to share by threads."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._old, self._new = _Probe(background.old), _Probe(background.new)

    def ask(self, old: NDArray[np.float32], new: NDArray[np.float32]) -> tuple[Asked, Asked]:
        """Prepare one query, a unit row ``(d_old,)`` and ``(d_new,)``, for a search of both sides."""
        return self._old.ask(old), self._new.ask(new)

    def scores(
        self, old: Asked, new: Asked, old_rows: Halves, new_rows: Halves | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scores on the new side's scale and the plain cosines of a query with rows, ``(s + t,)`` both.

        Args:
            old, new: the query, as `ask` returned it.
            old_rows, new_rows: ``(s, d_old)`` and ``(t, d_new)`` float16; None for no new ones.
        """
        first = len(old_rows)
        more = 0 if new_rows is None else len(new_rows)
        seen = np.empty((4, first + more), dtype=np.float32)
        _multiply(old.factors, old_rows, seen[:, :first])
        slope = self._background.stretch * new.spread / old.spread
        of_each: NDArray[np.float32] = np.array(
            (
                (self._old.square, self._new.square),
                (old.common * slope, new.common),
                (slope, 1),
                (new.mean - old.mean * slope, 0),
            ),
            dtype=np.float32,
        )
        if new_rows is None:
            of_each = of_each[:, :1]
        else:
            _multiply(new.factors, new_rows, seen[:, first:])
            of_each = np.repeat(of_each, (first, more), axis=1)
        square, common, slopes, start = of_each  # (s + t,) or (1,) each
        asked, means, cosines, norms = seen  # (s + t,) each
        about = np.sqrt(np.maximum(norms - means + square, _LEAST))
        scores = (asked * slopes + common) / about + start
        cosines /= np.sqrt(np.maximum(norms, _LEAST))
        if first:
            there = float(self._background.knee(old.mean, old.spread, new.mean, new.spread)[1])
            if np.fmax.reduce(scores[:first]) > there:  # past NaN, of damaged rows
                centred = (scores[:first] - start[:first]) / slopes[:first]
                scores[:first] = self._background.on_new_scale(
                    centred, (old.mean, old.spread), (new.mean, new.spread)
                )
        return scores, cosines


def _multiply(factors: NDArray[np.float32], rows: Halves, out: NDArray[np.float32]) -> None:
    """Write the products of rows ``(k, d)`` with three factors and with themselves into ``out`` ``(4, k)``.

    Rows that hold infinities or NaN give NaN, by which a search notices them.
    """
    near = np.empty(rows.shape, dtype=np.float32)
    floats(rows, near)
    np.matmul(factors, near.T, out=out[:3])
    norms = np.vecdot(near, near, out=out[3])
    if norms.max(initial=0) >= _DAMAGED:
        out[:, norms >= _DAMAGED] = np.nan

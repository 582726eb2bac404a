"""Score a query with rows of both sides on one scale: `Background.scores` for the few rows that were found for one query.

After a search in an index the caches hold little of numpy, and each of its functions costs microseconds. So a side's rows are
multiplied with two factors only, the query and the mean, and numbers of one query are computed by Python.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import Bitmap, Halves, floats

if TYPE_CHECKING:
    from indexes.migration.background import Background, Side

_LEAST = 1e-6
_DAMAGED = (
    2.0**32
)  # square of what `floats` makes of infinities and NaN at least; stored rows have length one
_SALIENT = 4.0
"""Standard deviations above the mean at which a query's neighbours score: a little below the 4.7 to 6.7 of photographs."""


class Asked(NamedTuple):
    """A query in one space, as `PairScores.ask` prepares it.

    Attributes:
        factors: ``(2, d)`` what rows are multiplied with: the query, and the mean.
        plain: ``(1, d)`` the unit row whose plain cosines order rows nearly as the cosines about the mean do: so one search as
            usual finds them.
        along: what the query scores with the mean.
        length: of the query about the mean.
        mean, spread: the mean and the standard deviation of what it scores with the sample, about the mean.
        gain, start: what a row scores about the mean is about ``gain`` times its cosine with ``plain``, and ``start`` more.
    """

    factors: NDArray[np.float32]
    plain: NDArray[np.float32]
    along: float
    length: float
    mean: float
    spread: float
    gain: float
    start: float


class _Probe:
    """What queries of one side are multiplied with."""

    def __init__(self, side: Side) -> None:
        self.rest = side.rest
        self.square = float(side.mean @ side.mean)
        self.axes = np.ascontiguousarray(
            np.vstack((side.axes.T, side.centre, side.mean)), dtype=np.float32
        )  # (a + 2, d)
        self.of_mean = self.axes @ side.mean  # (a + 2,)
        self.factors = np.vstack((side.mean, side.mean))  # (2, d), the query takes the first place

    def ask(self, query: NDArray[np.float32]) -> Asked:
        """Say where a unit query ``(d,)`` lies about the mean, and what it scores with the sample."""
        # Row by row: BLAS would share the whole of so small a product out to threads, and wait for them on a busy machine.
        seen = np.vecdot(self.axes, query)
        seen -= self.of_mean  # (a + 2,), of the query about the mean
        square, (by_centre, by_mean), axes = self.square, seen[-2:].tolist(), seen[:-2]
        along = by_mean + square
        length = max(sqrt(max(1 - 2 * along + square, 0)), _LEAST)
        spread = max(sqrt(float(axes.dot(axes)) / length**2 + self.rest), _LEAST)
        mean = by_centre / length
        # A row g scores asked·(g - m) / |g - m|. Where the best rows are, that grows with asked·g and, as the length falls with
        # m·g, with this too: by the score over the length. What is asked is (query - m) / length.
        by_query = 1 / length
        room = sqrt(max(1 - square, _LEAST))  # the length of most rows about the mean
        salient = min(mean + _SALIENT * spread, 1) / room
        by_mean = salient - by_query
        size = max(sqrt(max(by_query**2 + 2 * by_query * by_mean * along + by_mean**2 * square, 0)), _LEAST)
        factors = self.factors.copy()
        factors[0] = query
        weights = np.array(((by_query / size, by_mean / size),), dtype=np.float32)
        start = -((along - square) * by_query + salient * square) / room
        return Asked(factors, weights.dot(factors), along, length, mean, spread, size / room, start)

    def score(
        self,
        asked: Asked,
        rows: Halves,
        scores: NDArray[np.float32],
        cosines: NDArray[np.float32],
        *,
        slope: float = 1.0,
        start: float = 0.0,
    ) -> None:
        """Write what a query scores with rows ``(k, d)`` about the mean, times ``slope`` and from ``start`` on, and plain cosines.

        Rows that hold infinities or NaN give NaN, by which a search notices them.
        """
        near = np.empty(rows.shape, dtype=np.float32)
        floats(rows, near)
        by_query, by_mean = np.matmul(asked.factors, near.T)  # (k,) both
        norms = np.vecdot(near, near)
        if norms.max(initial=0) >= _DAMAGED:
            norms[norms >= _DAMAGED] = np.nan
        about = by_mean * np.float32(-2)  # the squared length of rows about the mean
        about += norms
        about += self.square
        np.maximum(about, _LEAST, out=about)
        np.subtract(by_query, by_mean, out=scores)
        scores += self.square - asked.along
        scores *= slope / asked.length
        scores /= np.sqrt(about, out=about)
        scores += start
        np.maximum(norms, _LEAST, out=norms)
        np.divide(by_query, np.sqrt(norms, out=norms), out=cosines)


class PairScores:
    """Scores queries of both spaces with rows of both, on one scale; safe to share by threads."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._old, self._new = _Probe(background.old), _Probe(background.new)

    def ask(self, old: NDArray[np.float32], new: NDArray[np.float32]) -> tuple[Asked, Asked]:
        """Prepare one query, a unit row ``(d_old,)`` and ``(d_new,)``, for a search of both sides."""
        return self._old.ask(old), self._new.ask(new)

    @property
    def by_both(self) -> bool:
        """Whether rows that both spaces have are scored by both."""
        return self._background.old_weight > 0

    def estimates(
        self, old: Asked, new: Asked, by_old: NDArray[np.float32], by_new: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return about what rows score on the new side's scale ``(s + t,)``, by their cosines with `Asked.plain` on either side."""
        slope = self._background.stretch * new.spread / old.spread
        start = new.mean - old.mean * slope
        found = np.concatenate((by_old, by_new))
        first, rest = found[: len(by_old)], found[len(by_old) :]
        first *= old.gain * slope
        first += old.start * slope + start
        rest *= new.gain
        rest += new.start
        return found

    def scores(
        self,
        old: Asked,
        new: Asked,
        old_rows: Halves,
        new_rows: Halves | None,
        *,
        by_new: Bitmap | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scores on the new side's scale and the plain cosines of a query with rows, ``(s + t,)`` both.

        Args:
            old, new: the query, as `ask` returned it.
            old_rows, new_rows: ``(s, d_old)`` and ``(t, d_new)`` float16; None for no new ones. If scored `by_both`, the old vectors
                of the new rows stand behind the others: ``(s + t, d_old)``.
            by_new: ``(t,)`` flags of new rows that the new side scores alone even so; None for none.
        """
        more = 0 if new_rows is None else len(new_rows)
        count = len(old_rows)  # scored by the old side
        first = count - more if self.by_both else count
        scores, cosines = np.empty((2, first + more), dtype=np.float32)
        if count:
            slope = self._background.stretch * new.spread / old.spread
            start = new.mean - old.mean * slope
            mine = scores[:count]
            self._old.score(old, old_rows, mine, cosines[:count], slope=slope, start=start)
            there = float(self._background.knee(old.mean, old.spread, new.mean, new.spread)[1])
            if np.fmax.reduce(mine) > there:  # past NaN, of damaged rows
                centred = (mine - np.float32(start)) / np.float32(slope)
                mine[:] = self._background.on_new_scale(
                    centred, (old.mean, old.spread), (new.mean, new.spread)
                )
        if new_rows is not None:
            by_old = scores[first:].copy() if self.by_both else None
            self._new.score(new, new_rows, scores[first:], cosines[first:])
            if by_old is not None:
                both = self._background.of_both(by_old, scores[first:], new.mean)
                scores[first:] = both if by_new is None else np.where(by_new, scores[first:], both)
        return scores, cosines

"""Measure a ranking of pairs: micro-AP, recall at a precision, and intervals by resampling the queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Ids

    Weights = NDArray[np.float64]

RESAMPLED = 500
"""Times that the queries are drawn again."""

_SEED = 20_221
_BOUNDS = (2.5, 97.5)  # percentiles: 95 of 100 draws are within


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value of all queries, and where it lies in 95 of 100 draws of as many queries, with repeats."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Pairs of a query and a row, in any order.

    Attributes:
        query: ``(m,)`` the number of each pair's query.
        scores: ``(m,)`` higher is better; pairs that tie are one step.
        correct: ``(m,)`` whether it is a true pair.
        positives: ``(q,)`` true pairs that each query has, found or not; 0 for a query without an original.
    """

    query: Ids
    scores: NDArray[np.float64]
    correct: Bitmap
    positives: Ids


def intervals(
    ranked: Ranked, *, precisions: tuple[float, ...], resampled: int = RESAMPLED
) -> tuple[Interval, dict[float, Interval]]:
    """Return micro-AP, and the recall at each precision: the greatest of any threshold whose precision is at least that."""
    order = np.argsort(-ranked.scores, kind="stable")
    steps = _Steps(
        last=_last_of_ties(ranked.scores[order]), query=ranked.query[order], correct=ranked.correct[order]
    )
    drawn = np.random.default_rng(_SEED)
    count = len(ranked.positives)
    rows = []
    for number in range(resampled + 1):
        weights = np.ones(count)
        if number:
            weights = np.bincount(drawn.integers(count, size=count), minlength=count).astype(np.float64)
        rows.append(_measured(steps, weights, float(weights @ ranked.positives), precisions))
    values = np.array(rows)  # (resampled + 1, 1 + precisions)
    low, high = np.nanpercentile(values[1:], _BOUNDS, axis=0)
    found = [
        Interval(value=round(float(value), 4), low=round(float(below), 4), high=round(float(above), 4))
        for value, below, above in zip(values[0], low, high, strict=True)
    ]
    return found[0], dict(zip(precisions, found[1:], strict=True))


def threshold_at(ranked: Ranked, precision: float) -> float | None:
    """Return the score of the threshold with the greatest recall whose precision is at least this; None if there is none."""
    order = np.argsort(-ranked.scores, kind="stable")
    last = _last_of_ties(ranked.scores[order])
    true = np.cumsum(ranked.correct[order])[last]
    right = np.flatnonzero((true >= precision * (last + 1)) & (np.diff(true, prepend=0) > 0))
    return float(ranked.scores[order][last[right[-1]]]) if len(right) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """Pairs, best first, and the place of the last one of each run of equal scores."""

    last: Ids
    query: Ids
    correct: Bitmap


def _last_of_ties(scores: NDArray[np.float64]) -> Ids:
    if not len(scores):
        return np.empty(0, np.int64)
    return np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)


def _measured(
    steps: _Steps, weights: Weights, positives: float, precisions: tuple[float, ...]
) -> list[float]:
    """Return micro-AP and the recalls where each query counts as often as its weight says; NaN without a true pair."""
    if not positives:
        return [float("nan")] * (1 + len(precisions))
    counted = weights[steps.query]
    seen = np.cumsum(counted)[steps.last]
    true = np.cumsum(counted * steps.correct)[steps.last]
    some = seen > 0
    precision = true[some] / seen[some]
    recall = true[some] / positives
    gained = np.diff(recall, prepend=0)
    reached = [float(recall[precision >= least].max(initial=0.0)) for least in precisions]
    return [float((gained * precision).sum()), *reached]

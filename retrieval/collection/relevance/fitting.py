"""Fit when a hit is what was asked, on queries of which it is known, and measure the error on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.collection.relevance.calibration import Calibration, scaled, terms

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from retrieval.collection.relevance.match_signals import Signals

_RIDGE = 20.0
_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A query of which it is known what is right.

    Attributes:
        signals: of the query, and of its hits, best first.
        right: ``(k,)`` bool: which hits are what was asked.
        present: whether the rows that were searched have an answer.
        name: what was asked for; all trials of one name count as much as all of another.
    """

    signals: Signals
    right: NDArray[np.bool_]
    present: bool
    name: str


def fit(trials: Sequence[Trial], *, error: float = 1.0) -> Calibration:
    """Fit a calibration on trials.

    Args:
        trials: of one kind of queries; some are present, some are not.
        error: what `calibration_error` was of others.
    """
    queries = np.stack([trial.signals.query for trial in trials])  # (n, 9)
    present = np.array([trial.present for trial in trials], dtype=np.float64)
    weights = _weights([trial.name for trial in trials])
    query_means, query_spreads = queries.mean(axis=0), queries.std(axis=0) + 1e-9
    near = scaled(queries, query_means, query_spreads)
    query_weights = _logistic(near, present, weights)
    logits = near @ query_weights[:-1] + query_weights[-1]
    counts = [len(trial.right) for trial in trials]
    rows = np.concatenate([trial.signals.rows for trial in trials])  # (m, 3)
    row_means, row_spreads = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    design = terms(np.repeat(logits, counts), scaled(rows, row_means, row_spreads))
    right = np.concatenate([trial.right for trial in trials]).astype(np.float64)
    return Calibration(
        query_means=query_means,
        query_spreads=query_spreads,
        query_weights=query_weights,
        row_means=row_means,
        row_spreads=row_spreads,
        row_weights=_logistic(design, right, np.repeat(weights, counts)),
        error=error,
    )


def cross_fitted(trials: Sequence[Trial], groups: Sequence[Hashable]) -> list[NDArray[np.float64]]:
    """Return each trial's probabilities by a calibration that was fitted on the trials of all other groups."""
    found: dict[Hashable, Calibration] = {
        out: fit([trial for trial, group in zip(trials, groups, strict=True) if group != out])
        for out in dict.fromkeys(groups)
    }
    return [found[group].probabilities(trial.signals) for trial, group in zip(trials, groups, strict=True)]


def calibration_error(
    probabilities: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> float:
    """Return the expected calibration error: the mean distance of probability and share that is right, over ten bins; lower is better."""
    weight = np.ones(len(right)) if weights is None else weights
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(bins, weight * (probabilities - right), minlength=_BINS)
    return float(np.abs(gap).sum() / weight.sum())


def _weights(names: Sequence[str]) -> NDArray[np.float64]:
    """Return weights so that each name counts the same, ``(n,)``, 1 on average."""
    _, places, counts = np.unique(np.array(names), return_inverse=True, return_counts=True)
    weights = 1 / counts[places]
    found: NDArray[np.float64] = weights / weights.mean()
    return found


def _logistic(
    design: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a logistic regression with a ridge by Newton's steps; returns weights, and the bias behind them."""
    x = np.c_[design, np.ones(len(design))]
    found = np.zeros(x.shape[1])
    ridge = np.full(x.shape[1], _RIDGE)
    ridge[-1] = 1e-6
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        slope = x.T @ (weights * (truth - p)) - ridge * found
        curve = (x * (weights * p * (1 - p))[:, None]).T @ x + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curve, slope)
        found += step
        if np.abs(step).max() < 1e-8:
            break
    return found

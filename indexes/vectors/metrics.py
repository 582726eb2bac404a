"""Measure retrieval quality: recall, average precision, upgrade gain. Pure functions on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import OptionError, ShapeError
from indexes.vectors.arrays import Bitmap, Ids

_BLOCK = 1024


def _same_rows(found: NDArray[Any], true: NDArray[Any]) -> None:
    if found.ndim != 2 or true.ndim != 2 or len(found) != len(true):
        raise ShapeError(
            f"expected two (q, k) arrays with one row a query, got {found.shape} and {true.shape}"
        )


def recall_of_each(found: Ids, true: Ids) -> NDArray[np.float64]:
    """Return each query's share of its true neighbours that were found, ``(q,)``, 0 to 1.

    Args:
        found: ``(q, s)`` ids, padded with -1.
        true: ``(q, k)`` ids, padded with -1 where fewer than ``k`` exist; a query without any counts as 1.
    Raises:
        ShapeError: not two axes each, or numbers of queries that differ.
    """
    _same_rows(found, true)
    wanted = (true >= 0).sum(axis=1)
    hits = np.zeros(len(true), dtype=np.int64)
    for start in range(0, len(true), _BLOCK):
        part = slice(start, start + _BLOCK)
        equal = (true[part, :, np.newaxis] == found[part, np.newaxis, :]) & (true[part, :, np.newaxis] >= 0)
        hits[part] = equal.any(axis=2).sum(axis=1)
    return np.where(wanted > 0, hits / np.maximum(wanted, 1), 1.0)


def recall_at_k(found: Ids, true: Ids) -> float:
    """Return the mean share of the true ``k`` neighbours that were found among the first ``k``, 0 to 1.

    Args:
        found: ``(q, >= k)`` ids, best first, padded with -1.
        true: ``(q, k)`` ids by exact search.
    """
    _same_rows(found, true)
    return float(recall_of_each(found[:, : true.shape[1]], true).mean()) if len(true) else 1.0


def map_at_k(relevant: Bitmap, *, k: int) -> float:
    """Return the mean average precision of the first ``k`` hits, divided by ``k``, 0 to 1.

    Args:
        relevant: ``(q, >= k)`` flags, hits best first; False for padding.
        k: the precision at each relevant hit is summed over the first ``k`` and divided by ``k``, however many
            relevant rows exist, so that 1 means that every hit is relevant.
    Raises:
        OptionError: ``k`` is less than 1 or more than the hits given.
    """
    if not 1 <= k <= relevant.shape[1]:
        raise OptionError(f"map_at_k: k is {k}, expected 1 to {relevant.shape[1]}, the hits given")
    hits = relevant[:, :k]
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)  # (q, k)
    return float((precision * hits).sum(axis=1).mean() / k) if len(hits) else 0.0


def micro_ap(correct: Bitmap, scores: NDArray[np.floating[Any]], *, positives: int) -> float:
    """Return the average precision of all pairs ranked together by score, 0 to 1.

    The measure of copy detection (Douze et al. 2021, arXiv 2106.09672): one threshold for all queries.

    Args:
        correct: ``(m,)`` whether a retrieved pair is a true one.
        scores: ``(m,)`` its score, higher is better; pairs that tie are counted together, as one step.
        positives: true pairs that exist, retrieved or not; at least 1.
    Raises:
        ShapeError: the lengths differ.
        OptionError: ``positives`` is less than 1 or less than the true pairs given.
    """
    if correct.shape != scores.shape or correct.ndim != 1:
        raise ShapeError(f"micro_ap: expected two (m,) arrays, got {correct.shape} and {scores.shape}")
    if positives < max(1, int(np.count_nonzero(correct))):
        raise OptionError(
            f"micro_ap: {positives} positives cannot be, {np.count_nonzero(correct)} were retrieved"
        )
    if len(correct) == 0:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    hits, ranked = np.cumsum(correct[order]), scores[order]
    last = np.append(
        np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1
    )  # of each run of equal scores
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / positives)


def compatibility(matrix: NDArray[np.floating[Any]]) -> tuple[float | None, float | None]:
    """Return AC and AM of a compatibility matrix (Biondi et al. 2021, arXiv 2111.07632).

    Args:
        matrix: ``(t, t)``; entry ``i, j`` is a quality, higher is better, with queries by encoder ``i`` and a gallery by
            encoder ``j``, in the order in which they were used, ``i >= j``; NaN where it was not measured.
    Returns:
        AC, the share of the measured cross-tests (``i > j``) that reach the self-test of the gallery's encoder (a tie
        does); AM, the mean of the measured lower triangle. None where nothing was measured.
    Raises:
        ShapeError: the matrix is not square.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"compatibility: expected a square matrix, got {matrix.shape}")
    below = np.tril(np.ones(matrix.shape, dtype=np.bool_)) & ~np.isnan(matrix)
    selfs = np.broadcast_to(np.diag(matrix), matrix.shape)  # the self-test of each column
    crosses = below & ~np.eye(len(matrix), dtype=np.bool_) & ~np.isnan(selfs)
    ac = float((matrix[crosses] >= selfs[crosses]).mean()) if crosses.any() else None
    return ac, float(matrix[below].mean()) if below.any() else None


def update_gain(*, old_old: float, new_old: float, new_new: float) -> float | None:
    """Return the share of a full re-encode's gain that is had without touching the gallery (Shen et al. 2020, BCT).

    None where the new encoder is not better: then there is no gain to have a share of.
    """
    if not new_new > old_old:
        return None
    return (new_old - old_old) / (new_new - old_old)


def regression_rate(before: Bitmap, after: Bitmap) -> float:
    """Return the share of all queries that were right before and are wrong after, 0 to 1; lower is better."""
    if before.shape != after.shape:
        raise ShapeError(f"regression_rate: expected flags of one shape, got {before.shape}, {after.shape}")
    return float((before & ~after).mean()) if before.size else 0.0


def curve_area(shares: NDArray[np.floating[Any]], quality: NDArray[np.floating[Any]]) -> float:
    """Return the mean height of a backfill curve over shares re-encoded from 0 to 1 (Jaeckle et al. 2023, FastFill).

    Args:
        shares: ``(n,)`` rising from 0 to 1.
        quality: ``(n,)``; between two shares it is taken to be linear.
    """
    if shares.shape != quality.shape or shares.ndim != 1 or len(shares) < 2:
        raise ShapeError(f"curve_area: expected two (n,) arrays, got {shares.shape} and {quality.shape}")
    means = (quality[1:] + quality[:-1]) / 2
    return float((means * np.diff(shares)).sum() / (shares[-1] - shares[0]))

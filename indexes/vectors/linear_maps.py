"""Fit affine maps from a new encoder's space to an old one's on paired rows.

Orthogonal Procrustes and ridge regression (the baselines of Drift-Adapter, Vejendla 2025, arXiv 2509.23471) and the softly
orthogonal map of λ-orthogonality (2025, arXiv 2509.16664). All work on rows about their means: vectors of an encoder that ends in a
ReLU share a large mean, and a map fitted with it turns that one direction well and all others badly. The old mean is not
added again where that finds more: it would draw every query to what most of the gallery is like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError
from indexes.vectors.arrays import Vectors
from indexes.vectors.space import Space
from indexes.vectors.transforms import Transform, paired

_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_STEPS, _BATCH = 200, 256  # of Adam, and pairs in each
_RATE = 2e-3  # of Adam, falling to nothing
_TEMPERATURE = 0.05


def centred_procrustes(source: Space, target: Space, x: Any, y: Any, *, rank: int | None = None) -> Transform:
    """Fit the orthogonal map that brings paired unit rows closest about their means; the narrower side is padded by zeros.

    The mean of ``x`` is taken away, that of ``y`` is not added.

    Args:
        source, target: the spaces of ``x`` and ``y``.
        x, y: ``(n, d_in)`` and ``(n, d_out)``; row i of one belongs to row i of the other.
        rank: keep only so many directions, those in which the two sides vary together most; few pairs tell nothing of
            the others (as the low-rank maps of Drift-Adapter). None for all.
    """
    return centred_rotations(source, target, x, y, ranks=(rank,))[0]


def centred_rotations(
    source: Space, target: Space, x: Any, y: Any, *, ranks: Sequence[int | None]
) -> list[Transform]:
    """Fit `centred_procrustes` with each of some ranks, for little more than one takes."""
    u, v = paired(source, target, x, y)
    mean = u.mean(axis=0)
    left, _, right = np.linalg.svd(
        ((u - mean).T @ (v - v.mean(axis=0))).astype(np.float64), full_matrices=False
    )
    found = []
    for rank in ranks:
        factors = left[:, :rank], right[:rank]
        matrix = factors[0] @ factors[1]  # (d_in, d_out)
        halves = [np.ascontiguousarray(factor, dtype=np.float32) for factor in factors]
        found.append(
            Transform(
                source=source,
                target=target,
                method="procrustes",
                matrix=np.ascontiguousarray(matrix, dtype=np.float32),
                offset=(-mean @ matrix).astype(np.float32),
                facts={"pairs": len(u), "centred": True} | ({} if rank is None else {"rank": rank}),
                factors=None if rank is None else (halves[0], halves[1]),
            )
        )
    return found


def ridge(source: Space, target: Space, x: Any, y: Any, *, strength: float) -> Transform:
    """Fit the affine map of least squares with an L2 penalty on paired unit rows.

    Args:
        source, target: the spaces of ``x`` and ``y``.
        x, y: ``(n, d_in)`` and ``(n, d_out)``; row i of one belongs to row i of the other.
        strength: the penalty, in units of the mean variance of a component of ``x``.
    """
    return ridges(source, target, x, y, strengths=(strength,))[0]


def ridges(
    source: Space, target: Space, x: Any, y: Any, *, strengths: Sequence[float] = _STRENGTHS
) -> list[Transform]:
    """Fit `ridge` with each of a few penalties: maps to choose among, for little more than one takes.

    The narrower of the two Gram matrices is decomposed once: of the rows where they are fewer than components (the dual form), else of
    the components.
    """
    u, v = (rows.astype(np.float64) for rows in paired(source, target, x, y))
    mean_u, mean_v = u.mean(axis=0), v.mean(axis=0)
    u, v = u - mean_u, v - mean_v
    dual = len(u) < source.dim
    squares, axes = np.linalg.eigh(u @ u.T if dual else u.T @ u)  # (r,), (r, r)
    left, right = (u.T @ axes, axes.T @ v) if dual else (axes, axes.T @ (u.T @ v))  # (d_in, r), (r, d_out)
    spread = max(float((u**2).sum()) / source.dim, 1e-12)
    found = []
    for strength in strengths:
        matrix = left @ (right / (np.maximum(squares, 0) + strength * spread)[:, np.newaxis])  # (d_in, d_out)
        found.append(
            Transform(
                source=source,
                target=target,
                method="ridge",
                matrix=matrix.astype(np.float32),
                offset=(mean_v - mean_u @ matrix).astype(np.float32),
                facts={"pairs": len(u), "strength": strength},
            )
        )
    return found


def lambda_orthogonal(
    source: Space,
    target: Space,
    x: Any,
    y: Any,
    *,
    start: NDArray[Any],
    tolerance: float,
) -> Transform:
    """Fit a linear map that may leave orthogonality by so much and no more (λ-orthogonality, 2025, arXiv 2509.16664).

    About the means, as `centred_procrustes`. Adam on the squared distance of mapped and target rows, a symmetric contrastive term over each batch, and
    ``sigmoid(10 (r - tolerance)) r``, where ``r`` is the Frobenius norm of ``W'W - I``: within the tolerance it is free.

    Args:
        source, target: the spaces of ``x`` and ``y``.
        x, y: ``(n, d_in)`` and ``(n, d_out)`` paired unit rows.
        start: ``(d_in, d_out)``, the orthogonal map to start from.
        tolerance: λ; 0 is softly orthogonal, large is any linear map.
    """
    u, v = paired(source, target, x, y)
    centre = u.mean(axis=0)
    u, v = u - centre, v - v.mean(axis=0)
    draws = np.random.default_rng(0)
    weight = np.array(start, dtype=np.float32)  # (d_in, d_out)
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step in range(1, _STEPS + 1):
        picked = draws.integers(0, len(u), min(_BATCH, len(u)))
        _, slope = lambda_loss(weight, u[picked], v[picked], tolerance=tolerance)
        mean += 0.1 * (slope - mean)
        square += 0.001 * (slope**2 - square)
        rate = _RATE * (1 + np.cos(np.pi * step / _STEPS)) / 2
        weight -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return Transform(
        source=source,
        target=target,
        method="lambda",
        matrix=weight,
        offset=-centre @ weight,
        facts={"pairs": len(u), "tolerance": tolerance},
    )


def lambda_loss(weight: Any, x: Any, y: Any, *, tolerance: float) -> tuple[float, Any]:
    """Return the loss of `lambda_orthogonal` over a batch, and its gradient by the weight ``(d_in, d_out)``."""
    count = len(x)
    mapped = x @ weight  # (b, d_out)
    lengths = np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    unit = mapped / lengths
    logits = unit @ y.T / _TEMPERATURE  # (b, b)
    losses, pulls = [], []
    for axis in (1, 0):
        shifted = logits - logits.max(axis=axis, keepdims=True)
        shares = np.exp(shifted)
        shares /= shares.sum(axis=axis, keepdims=True)
        losses.append(-np.log(np.maximum(np.diag(shares), 1e-30)).mean())
        pulls.append((shares - np.eye(count, dtype=shares.dtype)) / count)
    by_unit = (pulls[0] + pulls[1]) / 2 @ y / _TEMPERATURE  # (b, d_out)
    by_mapped = (by_unit - unit * (unit * by_unit).sum(axis=1, keepdims=True)) / lengths
    by_mapped += 2 * (mapped - y) / count
    tall = weight.shape[0] >= weight.shape[1]
    gram = (weight.T @ weight if tall else weight @ weight.T) - np.eye(min(weight.shape), dtype=weight.dtype)
    away = max(float(np.linalg.norm(gram)), 1e-12)
    gate = 1 / (1 + np.exp(-10 * (away - tolerance)))
    by_away = gate + 10 * away * gate * (1 - gate)
    by_gram = 2 * (weight @ gram if tall else gram @ weight) / away
    loss = float(((mapped - y) ** 2).sum(axis=1).mean() + sum(losses) / 2 + gate * away)
    return loss, x.T @ by_mapped + by_away * by_gram


def extension(source: Space, target: Space) -> Transform:
    """Return the map of an encoder whose first components live in the old space: slice, then normalise.

    Raises:
        ShapeError: the new space is narrower than the old one.
    """
    if source.dim < target.dim:
        raise ShapeError(f"{source} has no prefix as wide as {target}")
    matrix = np.eye(source.dim, target.dim, dtype=np.float32)
    return Transform(source=source, target=target, method="prefix", matrix=matrix)


def recentred(step: Transform, x: Vectors, y: Vectors) -> Transform:
    """Return the same linear map with the offset that takes the mean of ``x`` to that of ``y``.

    Words and images lie apart in a space trained on both, each encoder with a gap of its own (Liang et al. 2022, arXiv
    2203.02053); a map fitted on images alone puts words where the old encoder would not.
    """
    moved = x @ step.matrix  # (n, d_out)
    lengths = np.linalg.norm(moved + (0 if step.offset is None else step.offset), axis=1)
    offset = (y * lengths[:, np.newaxis]).mean(axis=0) - moved.mean(axis=0)
    return Transform(
        source=step.source,
        target=step.target,
        method=step.method,
        matrix=step.matrix,
        offset=offset.astype(np.float32),
        facts={**step.facts, "recentred_on": len(x)},
        factors=step.factors,
    )


def about_mean(step: Transform, x: Vectors) -> Transform:
    """Return the same linear map with the offset that takes the mean of ``x`` to nothing: what is common is not asked for."""
    offset = -x.mean(axis=0) @ step.matrix
    return replace(step, offset=offset.astype(np.float32), facts={**step.facts, "centred": True})

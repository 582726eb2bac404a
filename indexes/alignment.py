"""Bring queries of a new encoder into an old encoder's space, and tell how well they find what lies there.

Orthogonal Procrustes and ridge regression (the baselines of Drift-Adapter, Vejendla 2025, arXiv 2509.23471), and spherical
interpolation of old and aligned new queries (SLERP, arXiv 2609.39836).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.arrays import Bitmap, Ids, Vectors, unit_rows
from indexes.errors import ShapeError
from indexes.space import Space
from indexes.transforms import Transform

_BLOCK = 512
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_RATE = 1e-3  # of Adam
_TEMPERATURE = 0.05
_ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Score = Callable[[Vectors], float]
"""How good mapped queries are, higher is better: measured on pairs that nothing is fitted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Queries with known answers, in both spaces, and a sample of the gallery in both.

    Attributes:
        gallery_old, gallery_new: ``(g, d_old)`` and ``(g, d_new)`` unit rows, row i the same image.
        old, new: ``(q, d_old)`` and ``(q, d_new)`` unit rows: the queries by each encoder.
        target: ``(q,)`` the gallery row that a query was made from.
        labels: ``(g,)`` with labels: right is a nearest *other* row of the same label; None: right is the target itself.
    """

    gallery_old: Vectors
    gallery_new: Vectors
    old: Vectors
    new: Vectors
    target: Ids
    labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        queries, rows = (
            {len(self.old), len(self.new), len(self.target)},
            {
                len(self.gallery_old),
                len(self.gallery_new),
            },
        )
        if len(queries) != 1 or len(rows) != 1:
            raise ShapeError(f"probe: queries {sorted(queries)} and gallery rows {sorted(rows)} must pair")

    def right(self, queries: Vectors, gallery: Vectors) -> Bitmap:
        """Return ``(q,)`` flags: the first hit of each query among the gallery's rows is right."""
        flags = np.zeros(len(queries), dtype=np.bool_)
        for start in range(0, len(queries), _BLOCK):
            part = slice(start, start + _BLOCK)
            scores = queries[part] @ gallery.T  # (b, g)
            own = self.target[part]
            if self.labels is None:
                flags[part] = scores.argmax(axis=1) == own
            else:
                scores[np.arange(len(own)), own] = -np.inf
                flags[part] = self.labels[scores.argmax(axis=1)] == self.labels[own]
        return flags

    def margin(self, queries: Vectors, gallery: Vectors) -> float:
        """Return the mean cosine with the target, to tell apart what is right equally often."""
        return float(np.einsum("qd,qd->q", queries, gallery[self.target]).mean()) if len(queries) else 0.0

    def score(self, queries: Vectors) -> float:
        """Score mapped queries on the old gallery: how often right; cosines decide ties."""
        hits = float(self.right(queries, self.gallery_old).mean())
        return hits + 1e-6 * self.margin(queries, self.gallery_old)


def ridge(source: Space, target: Space, x: Any, y: Any, *, strength: float) -> Transform:
    """Fit the affine map of least squares with an L2 penalty on paired unit rows.

    Args:
        source, target: the spaces of ``x`` and ``y``.
        x, y: ``(n, d_in)`` and ``(n, d_out)``; row i of one belongs to row i of the other.
        strength: the penalty, in units of the mean variance of a component of ``x``.
    """
    u = unit_rows(x, dim=source.dim, what="source rows").astype(np.float64)
    v = unit_rows(y, dim=target.dim, what="target rows").astype(np.float64)
    if len(u) != len(v):
        raise ShapeError(f"pairs: {len(u)} source rows but {len(v)} target rows")
    mean_u, mean_v = u.mean(axis=0), v.mean(axis=0)
    u, v = u - mean_u, v - mean_v
    gram = u.T @ u  # (d_in, d_in)
    penalty = strength * max(float(np.trace(gram)) / source.dim, 1e-12)
    matrix = np.linalg.solve(gram + penalty * np.eye(source.dim), u.T @ v)  # (d_in, d_out)
    return Transform(
        source=source,
        target=target,
        method="ridge",
        matrix=matrix.astype(np.float32),
        offset=(mean_v - mean_u @ matrix).astype(np.float32),
        facts={"pairs": len(u), "strength": strength},
    )


def best_ridge(
    source: Space, target: Space, x: Any, y: Any, *, score: Callable[[Transform], float]
) -> Transform:
    """Fit `ridge` with each of a few penalties and return the one that scores best."""
    fitted = [ridge(source, target, x, y, strength=strength) for strength in _STRENGTHS]
    return max(fitted, key=score)


def lambda_orthogonal(
    source: Space,
    target: Space,
    x: Any,
    y: Any,
    *,
    start: NDArray[Any],
    tolerance: float,
    steps: int = 200,
    batch: int = 256,
    seed: int = 0,
) -> Transform:
    """Fit a linear map that may leave orthogonality by so much and no more (λ-orthogonality, 2025, arXiv 2509.16664).

    Adam on the squared distance of mapped and target rows, a symmetric contrastive term over each batch, and
    ``sigmoid(10 (r - tolerance)) r``, where ``r`` is the Frobenius norm of ``W'W - I``: within the tolerance it is free.

    Args:
        source, target: the spaces of ``x`` and ``y``.
        x, y: ``(n, d_in)`` and ``(n, d_out)`` paired unit rows.
        start: ``(d_in, d_out)``, the orthogonal map to start from.
        tolerance: λ; 0 is softly orthogonal, large is any linear map.
        steps: of Adam.
        batch: pairs in each.
        seed: of the batches.
    """
    u, v = unit_rows(x, dim=source.dim, what="source rows"), unit_rows(y, dim=target.dim, what="target rows")
    draws = np.random.default_rng(seed)
    weight = np.array(start, dtype=np.float32)  # (d_in, d_out)
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step in range(1, steps + 1):
        picked = draws.integers(0, len(u), min(batch, len(u)))
        _, slope = lambda_loss(weight, u[picked], v[picked], tolerance=tolerance)
        mean += 0.1 * (slope - mean)
        square += 0.001 * (slope**2 - square)
        weight -= _RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return Transform(
        source=source,
        target=target,
        method="lambda",
        matrix=weight,
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
    )


def slerp(u: Vectors, v: Vectors, alpha: float) -> Vectors:
    """Interpolate on the sphere between paired unit rows: ``u`` at ``alpha`` 0, ``v`` at 1 (Shoemake 1985).

    Args:
        u, v: ``(n, d)`` unit rows.
    Returns:
        ``(n, d)`` float32 unit rows.
    """
    cosine = np.clip(np.einsum("nd,nd->n", u, v), -1 + 1e-7, 1 - 1e-7)[:, np.newaxis]  # (n, 1)
    angle = np.arccos(cosine)
    mixed = (np.sin((1 - alpha) * angle) * u + np.sin(alpha * angle) * v) / np.sin(angle)
    return unit_rows(mixed.astype(np.float32), what="interpolated queries")


def best_alpha(u: Vectors, v: Vectors, *, score: Score) -> float:
    """Return the share of ``v`` in `slerp` that scores best."""
    return max(_ALPHAS, key=lambda alpha: score(slerp(u, v, alpha)))


def overlap(found: Ids, true: Ids) -> float:
    """Return the mean share of each query's true neighbours among those found, ``(q, k)`` both."""
    equal = found[:, :, np.newaxis] == true[:, np.newaxis, :]
    return float(equal.any(axis=1).mean()) if len(true) else 1.0


def nearest(queries: Vectors, gallery: Vectors, *, k: int) -> Ids:
    """Return ``(q, min(k, g))`` positions of the best gallery rows, in no order."""
    k = min(k, len(gallery))
    found = [
        np.argpartition(-(queries[start : start + _BLOCK] @ gallery.T), k - 1, axis=1)[:, :k]
        for start in range(0, len(queries), _BLOCK)
    ]
    return np.concatenate(found) if found else np.empty((0, k), dtype=np.int64)

"""Measure how well queries of a new encoder find rows of an old encoder's space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError
from indexes.vectors import Bitmap, Ids, Vectors, unit_rows

_BLOCK = 512
_ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_ITSELF = 0.1
"""What finding the query's own image counts beside its label: labels alone cannot tell a map that blurs from one that does not."""

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

    def itself(self, queries: Vectors, gallery: Vectors) -> Bitmap:
        """Return ``(q,)`` flags: the first hit of each query among the gallery's rows is the row that it was made from."""
        return replace(self, labels=None).right(queries, gallery)

    def margin(self, queries: Vectors, gallery: Vectors) -> float:
        """Return the mean cosine with the target, to tell apart what is right equally often."""
        return float(np.einsum("qd,qd->q", queries, gallery[self.target]).mean()) if len(queries) else 0.0

    def worth_each(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return what each query counts for settings that are chosen ``(q,)``: whether its first hit is right.

        With labels, how far up the query's own image is counts, too.

        Args:
            scores: ``(q, g)`` of every query with every gallery row.
        """
        if not len(scores):
            return np.zeros(0)
        places = np.arange(len(scores)), self.target
        if self.labels is None:
            return np.asarray(scores.argmax(axis=1) == self.target, dtype=np.float64)
        above = (scores > scores[places][:, np.newaxis]).sum(axis=1)  # (q,)
        others = scores.copy()
        others[places] = -np.inf
        right = self.labels[others.argmax(axis=1)] == self.labels[self.target]
        return np.asarray(right + _ITSELF / (1 + above), dtype=np.float64)

    def worth(self, scores: NDArray[np.floating[Any]]) -> float:
        """Return what settings are chosen by: the mean of `worth_each`."""
        return float(self.worth_each(scores).mean()) if len(scores) else 0.0

    def score(self, queries: Vectors) -> float:
        """Score mapped queries on the old gallery by their `worth`; cosines decide ties."""
        return self.worth(queries @ self.gallery_old.T) + 1e-6 * self.margin(queries, self.gallery_old)


def slerp(u: Vectors, v: Vectors, alpha: float) -> Vectors:
    """Interpolate on the sphere between paired unit rows: ``u`` at ``alpha`` 0, ``v`` at 1 (Shoemake 1985).

    Of old and aligned new queries it makes queries of both (SLERP for compatible representations, 2026, arXiv 2609.39836).

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

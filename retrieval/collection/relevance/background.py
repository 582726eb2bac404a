"""Hold photographs' vectors that every query is also compared with, to know what score a match of it usually has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.vectors import unit_rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.vectors import Vectors

__all__ = ["FEWEST", "MOST", "Background", "Nearest"]

FEWEST = 100
"""Photographs that a background has at least."""

MOST = 20
"""Nearest photographs that are told."""

_LOOKED_AT = 60
"""Photographs nearest along the axes that are compared exactly."""

_AXES = 64

_EVERY = 4
"""Every so many photographs are compared with each hit; all with the query."""

_STEPS = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What a query has in common with a background.

    Attributes:
        places: of the photographs nearest to it, ``(20,)``, nearest first.
        scores: their cosines with it, falling.
        mean, spread: of the cosines of all, the spread as far as the principal axes tell it.
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float32]
    mean: float
    spread: float


@dataclass(frozen=True)
class Background:
    """Vectors of photographs of everyday things, none of them in the collection.

    All of them are compared along the principal axes, which takes a fraction of the time; the nearest ones exactly.

    Args:
        vectors: ``(n, d)`` float32 unit rows, at least `FEWEST` of them.
        known_axes: what `axes` are, if they were computed before.
    """

    vectors: Vectors
    known_axes: NDArray[np.float32] | None = None

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """The mean vector ``(d,)``, around which hits are compared with each other."""
        found: NDArray[np.float32] = self.vectors.mean(axis=0, dtype=np.float32)
        return found

    @cached_property
    def mean_square(self) -> float:
        """The product of the mean with itself."""
        return float(self.mean @ self.mean)

    @cached_property
    def axes(self) -> NDArray[np.float32]:
        """The principal axes ``(a, d)``, at most `_AXES` of them."""
        if self.known_axes is not None:
            return self.known_axes
        moved = self.vectors - self.mean
        _, found = np.linalg.eigh(moved.T @ moved)
        return np.ascontiguousarray(found[:, ::-1][:, :_AXES].T, dtype=np.float32)

    @cached_property
    def _axes_and_mean(self) -> NDArray[np.float32]:
        return np.concatenate([self.axes, self.mean[np.newaxis]])  # (a + 1, d)

    @cached_property
    def _along(self) -> NDArray[np.float32]:
        return np.asarray((self.vectors - self.mean) @ self.axes.T, dtype=np.float32)  # (n, a)

    @cached_property
    def _some_along(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self._along[::_EVERY].T)  # (a, n / 4)

    def nearest(self, query: NDArray[np.float32]) -> Nearest:
        """Return what is nearest to a query ``(d,)``."""
        along = self._axes_and_mean @ query  # (a + 1,)
        estimates = self._along @ along[:-1]  # (n,), their mean is 0
        looked_at = min(_LOOKED_AT, len(estimates))
        some = estimates.argpartition(-looked_at)[-looked_at:]
        scores = self.vectors[some] @ query  # (60,)
        order = scores.argsort()[: -MOST - 1 : -1]
        return Nearest(
            places=some[order],
            scores=scores[order],
            mean=float(along[-1]),
            spread=math.sqrt(float(estimates @ estimates) / len(estimates)) or 1.0,
        )

    def nearer(self, rows: Vectors, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Estimate which share of the background is nearer to each of some rows ``(m, d)`` than a cosine, ``(m,)``.

        Args:
            rows: unit rows.
            scores: ``(m,)`` the cosines, less the rows' products with the mean.
        """
        estimates = (rows @ self.axes.T) @ self._some_along  # (m, n / 4)
        above = estimates > scores[:, np.newaxis]
        shares: NDArray[np.float64] = np.count_nonzero(above, axis=1) / estimates.shape[1]
        return shares

    def write(self, path: Path) -> None:
        """Write it in 8 bits a number, one scale a row; ``path`` is replaced when the file is whole."""
        from indexes import files

        scales = np.abs(self.vectors).max(axis=1) / _STEPS  # (n,)
        codes = np.rint(self.vectors / scales[:, None]).astype(np.int8)
        with files.replacing(path) as file:
            np.savez(file, codes=codes, scales=scales.astype(np.float32), axes=self.axes.astype(np.float16))

    @staticmethod
    def read(file: Any) -> Background:
        """Read what `write` wrote.

        Raises:
            OSError, ValueError, KeyError: there is no such file, or it is damaged.
        """
        with np.load(file, allow_pickle=False) as arrays:
            codes, scales, axes = arrays["codes"], arrays["scales"], arrays["axes"]
        vectors = unit_rows(codes.astype(np.float32) * scales[:, None], what="background")
        return Background(vectors, np.ascontiguousarray(axes, dtype=np.float32))

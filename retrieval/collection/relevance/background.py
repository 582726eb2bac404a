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

FEWEST = 100
"""Photographs that a background has at least."""

MOST = 20
"""Nearest photographs whose scores are told."""

COMPARED = 5
"""Nearest photographs that hits are compared with."""

_LOOKED_AT = 25
"""Photographs nearest along the axes that are compared exactly, at least."""

_FAR_OUT = 2.4
"""Spreads from which a photograph counts as one of these: one of 120, where cosines are spread as a normal distribution."""

_AXES = 32

_STEPS = 127
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What a query has in common with a background.

    Attributes:
        vectors: ``(5, d)`` unit rows around the mean: the photographs nearest to it, nearest first.
        scores: ``(20,)`` the cosines of the nearest with it, falling.
        spread: of the cosines of all, as far as the principal axes tell it.
    """

    vectors: Vectors
    scores: NDArray[np.float32]
    spread: float


@dataclass(frozen=True)
class Background:
    """Vectors of photographs of everyday things, none of them in the collection.

    All is compared around their mean, since what all photographs share tells nothing. All of them are compared along the
    principal axes, which takes a fraction of the time; the nearest ones exactly.

    Args:
        vectors: ``(n, d)`` float32 unit rows, at least `FEWEST` of them.
        known_axes: what `axes` are, if they were computed before.
    """

    vectors: Vectors
    known_axes: NDArray[np.float32] | None = None

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """The mean vector ``(d,)``."""
        found: NDArray[np.float32] = self.vectors.mean(axis=0, dtype=np.float32)
        return found

    @cached_property
    def axes(self) -> NDArray[np.float32]:
        """The principal axes as columns, ``(d, a)``, at most `_AXES` of them."""
        if self.known_axes is not None:
            return self.known_axes
        _, found = np.linalg.eigh(self._moved.T @ self._moved)
        return np.ascontiguousarray(found[:, ::-1][:, :_AXES], dtype=np.float32)

    @cached_property
    def _moved(self) -> Vectors:
        return self.moved(self.vectors)  # (n, d)

    @cached_property
    def _along(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self._moved @ self.axes)  # (n, a)

    def moved(self, rows: Vectors) -> Vectors:
        """Return unit rows around the mean, ``(m, d)``; their products are the cosines that count here."""
        found = rows.copy()
        self.move(found)
        return found

    def move(self, rows: Vectors) -> None:
        """Make rows ``(m, d)`` what `moved` returns, in their place."""
        rows -= self.mean
        rows /= np.sqrt(np.vecdot(rows, rows) + _TINY)[:, np.newaxis]

    def nearest(self, query: NDArray[np.float32]) -> Nearest:
        """Return what is nearest to a query ``(d,)``, as `moved` gives it."""
        estimates = self._along @ (query @ self.axes)  # (n,)
        spread = math.sqrt(float(estimates @ estimates) / len(estimates)) or 1.0
        some = (estimates > _FAR_OUT * spread).nonzero()[0]  # takes a fifth of the time of a partition
        least = min(_LOOKED_AT, len(estimates))
        if len(some) < least:
            some = estimates.argpartition(-least)[-least:]
        vectors = self._moved.take(some, axis=0)  # (25, d) or more
        scores = vectors @ query  # (25,)
        order = scores.argsort()[: -MOST - 1 : -1]
        return Nearest(
            vectors=vectors.take(order[:COMPARED], axis=0), scores=scores.take(order), spread=spread
        )

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

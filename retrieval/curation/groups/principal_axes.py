"""Find the directions along which rows differ most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from indexes.vectors import Vectors


class PrincipalAxes:
    """The principal axes of a sample.

    Args:
        sample: ``(s, d)`` float32, at least one row.
        number: of axes; all where there are fewer.
    """

    def __init__(self, sample: Vectors, number: int) -> None:
        self._mean = sample.mean(axis=0, dtype=np.float32)
        moved = sample - self._mean
        _, found = np.linalg.eigh(moved.T @ moved)
        self._axes = np.ascontiguousarray(found[:, ::-1][:, :number], dtype=np.float32)  # (d, a)

    def along(self, rows: Vectors) -> Vectors:
        """Return where rows lie along the axes, from the sample's mean, ``(m, a)`` float32."""
        found: Vectors = (rows - self._mean) @ self._axes
        return found

"""Rows of two spaces for the tests of scores."""

from __future__ import annotations

import numpy as np

from indexes.vectors.arrays import unit_rows


def rows(n, d, seed=0, shift=0.0):
    """Draw unit rows ``(n, d)`` that lie around the first axis, the nearer the larger ``shift`` is."""
    drawn = np.random.default_rng(seed).standard_normal((n, d))
    drawn[:, 0] += shift
    return unit_rows(drawn)

"""Measure leave-one-out nearest-neighbour accuracy of labelled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine.scan import flat
from indexes.errors import OptionError, ShapeError
from indexes.vectors import Halves

_BLOCK = 1024


def knn_accuracy(rows: Halves, labels: NDArray[Any]) -> float:
    """Return the share of rows whose nearest other row has the same label, 0 to 1: exact leave-one-out 1-NN.

    Args:
        rows: ``(n, d)`` float16 unit rows; searched in blocks.
        labels: ``(n,)``, of any kind that compares.
    Raises:
        ShapeError: not one label a row.
        OptionError: fewer than two rows.
    """
    if labels.shape != (len(rows),):
        raise ShapeError(f"labels: expected ({len(rows)},), got {labels.shape}")
    if len(rows) < 2:
        raise OptionError(f"knn_accuracy needs at least 2 labelled rows, got {len(rows)}")
    right = 0
    for start in range(0, len(rows), _BLOCK):
        own = np.arange(start, min(start + _BLOCK, len(rows)))
        found = flat.exact(rows, rows[own].astype(np.float32), k=2).ids  # (b, 2)
        nearest = np.where(found[:, 0] == own, found[:, 1], found[:, 0])
        right += int((labels[nearest] == labels[own]).sum())
    return right / len(rows)

"""Read stored rows as floats, some at a time."""

from __future__ import annotations

import numpy as np

from indexes.vectors import Halves, Ids, Vectors, floats

_CHUNK = 256  # rows turned into floats together: they stay in the second-level cache


def wide(rows: Halves, ids: Ids) -> Vectors:
    """Return some rows as float32, ``(m, d)``."""
    result = np.empty((len(ids), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        floats(rows[ids[part]], result[part])
    return result


def unit(rows: Halves, ids: Ids) -> Vectors:
    """Return the same, each of length 1 to float32: stored rows are so to about 1e-4 only."""
    result = wide(rows, ids)
    result /= np.maximum(lengths(result), 1e-12)[:, np.newaxis]
    return result


def lengths(rows: Vectors) -> Vectors:
    """Return the lengths of rows, ``(m,)``."""
    found: Vectors = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return found

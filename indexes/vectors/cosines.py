"""Compute the cosines that people are shown: in double precision, of the few rows that were found.

A stored row is float16, so its length is 1 only to about 1e-4, and a plain dot product may exceed 1, or another row's may
exceed the row's own. Here each is divided by the row's length. It is the same whichever way a row was found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.vectors.arrays import Halves, Ids, Neighbors, Vectors

__all__ = ["clipped", "rescored"]

_FLOATS = 1 << 21  # computed at once: 16 MB


def rescored(found: Neighbors, queries: Vectors, rows: Halves) -> Neighbors:
    """Return neighbours with their exact cosines, ordered by them, ties by smaller id.

    Args:
        found: ids ``(q, k)`` of `rows`, padded with -1.
        queries: ``(q, d)`` float32 rows of any length above zero.
        rows: ``(n, d)`` float16.
    Returns:
        the same ids, and cosines in [-1, 1]; padded with -1 and -inf.
    """
    ids = found.ids
    if not ids.size or not len(rows):
        return found
    scores = np.empty(ids.shape, dtype=np.float32)
    step = max(1, _FLOATS // max(1, ids.shape[1] * queries.shape[1]))
    for start in range(0, len(ids), step):
        part = slice(start, start + step)
        scores[part] = _cosines(queries[part], rows, ids[part])
    order = np.lexsort((ids, -scores), axis=-1)  # (q, k), padding last
    return Neighbors(
        ids=np.take_along_axis(ids, order, axis=1), scores=np.take_along_axis(scores, order, axis=1)
    )


def clipped(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores within [-1, 1]; the -inf of padding stays."""
    return np.where(np.isneginf(scores), scores, np.clip(scores, -1, 1)).astype(np.float32)


def _cosines(queries: Vectors, rows: Halves, ids: Ids) -> NDArray[np.float32]:
    near = np.asarray(rows[np.maximum(ids, 0)], dtype=np.float64)  # (q, k, d)
    asked = queries.astype(np.float64)  # (q, d)
    products = np.einsum("qkd,qd->qk", near, asked)
    lengths = np.sqrt(
        np.einsum("qkd,qkd->qk", near, near) * np.einsum("qd,qd->q", asked, asked)[:, np.newaxis]
    )
    with np.errstate(invalid="ignore"):  # of damaged rows, which may hold infinities
        cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.where(ids < 0, -np.inf, np.clip(cosines, -1, 1)).astype(np.float32)

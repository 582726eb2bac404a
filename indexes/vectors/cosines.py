"""Compute the cosines that people are shown: in double precision, of the few rows that were found.

A stored row is float16, so its length is 1 only to about 1e-4, and a plain dot product may exceed 1, or another row's may
exceed the row's own. Here each is divided by the row's length. It is the same whichever way a row was found.
"""

from __future__ import annotations

from functools import cache
from math import inf, sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes.vectors.arrays import Halves, Ids, Vectors
from indexes.vectors.neighbors import Neighbors

Real = TypeVar("Real", np.float32, np.float64)

_FEW = 32  # places of one query up to which Python is faster than numpy
_FLOATS = 1 << 16  # computed at once: they stay in the cache, and need no fresh pages


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
    if len(ids) == 1 and ids.shape[1] <= _FEW:
        seen = _at_a_glance(ids[0], queries[0], rows)
        if seen is not None:
            return Neighbors(ids=ids, scores=seen[np.newaxis])
    scores = np.empty(ids.shape, dtype=np.float32)
    step = max(1, _FLOATS // max(1, ids.shape[1] * queries.shape[1]))
    for start in range(0, len(ids), step):
        part = slice(start, start + step)
        scores[part] = _cosines(queries[part], rows, ids[part])
    if (scores[:, 1:] < scores[:, :-1]).all():  # mostly they are in order already
        return Neighbors(ids=ids, scores=scores)
    order = np.lexsort((ids, -scores), axis=-1)  # (q, k), padding last
    each = np.arange(len(ids))[:, np.newaxis]
    return Neighbors(ids=ids[each, order], scores=scores[each, order])


def _at_a_glance(ids: Ids, query: NDArray[np.float32], rows: Halves) -> NDArray[np.float32] | None:
    """Return the cosines ``(k,)`` of one query ``(d,)`` with rows that are in order already, as they mostly are; else None.

    After a search in an index the caches hold little of numpy, and each of its functions that is called costs microseconds.
    So the few numbers that are left are compared in Python.
    """
    if min(ids.tolist()) < 0:
        return None
    near = rows.take(ids, axis=0).astype(np.float64)  # (k, d)
    asked = query.astype(np.float64)  # (d,)
    products = near.dot(asked).tolist()  # BLAS has no warnings of damaged rows, which may hold anything
    near *= near
    squares = near.dot(_ones(len(query))).tolist()
    if not sum(squares) < inf:
        return None
    square = asked.dot(asked).item()
    try:
        cosines = [product / sqrt(own * square) for product, own in zip(products, squares, strict=True)]
    except ZeroDivisionError:
        return None
    scores = np.array(cosines, dtype=np.float32)
    before = inf
    for score in scores.tolist():
        if not -1 <= score <= 1 or score >= before:  # nor is it a number, perhaps
            return None
        before = score
    return scores


@cache
def _ones(width: int) -> NDArray[np.float64]:
    return np.ones(width)


def dots(one: NDArray[Real], other: NDArray[Real]) -> NDArray[Real]:
    """Return the dot products ``(…)`` of rows ``(…, d)``.

    Each is one of BLAS, and so the same whatever stands beside it; `einsum` takes five times as long.
    """
    with np.errstate(invalid="ignore"):  # of damaged rows, which may hold infinities
        products: NDArray[Real] = np.vecdot(one, other)
    return products


def clipped(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores within [-1, 1]; the -inf of padding stays."""
    return np.where(np.isneginf(scores), scores, np.clip(scores, -1, 1)).astype(np.float32)


def _cosines(queries: Vectors, rows: Halves, ids: Ids) -> NDArray[np.float32]:
    near = rows[ids].astype(np.float64)  # (q, k, d); the last row in the place of padding
    asked = queries.astype(np.float64)  # (q, d)
    products = dots(near, asked[:, np.newaxis])
    squares = dots(near, near) * dots(asked, asked)[:, np.newaxis]
    return _divided(products, squares, ids)


def _divided(products: NDArray[np.float64], squares: NDArray[np.float64], ids: Ids) -> NDArray[np.float32]:
    """Return ``products / sqrt(squares)`` within [-1, 1], 0 where a length is 0, -inf where there is no row."""
    if squares.min() > 0 and squares.max() < np.inf:
        cosines = products / np.sqrt(squares)
    else:
        lengths = np.sqrt(squares)
        with np.errstate(invalid="ignore"):  # of damaged rows, which may hold infinities
            cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    cosines = np.minimum(np.maximum(cosines, -1, out=cosines), 1, out=cosines)
    scores: NDArray[np.float32] = cosines.astype(np.float32)
    if ids.min() < 0:
        scores[ids < 0] = -np.inf
    return scores

"""The arrays that modules hand to each other, and the one gate that checks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError, VectorError

Vectors: TypeAlias = NDArray[np.float32]
"""``(n, d)`` float32, C-contiguous, unit rows."""

Ids: TypeAlias = NDArray[np.int64]
"""int64 row ids; -1 is padding."""

Bitmap: TypeAlias = NDArray[np.bool_]
"""``(count,)`` bool, one flag a row id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """The neighbours of some queries, best first.

    Attributes:
        ids: ``(q, k)`` int64, padded with -1.
        scores: ``(q, k)`` float32 cosines, higher is better; padded with -inf.
    """

    ids: Ids
    scores: NDArray[np.float32]


def unit_rows(array: Any, *, dim: int | None = None, what: str = "vectors") -> Vectors:
    """Return ``array`` as float32 unit rows; a fresh array unless it is one already.

    Args:
        array: ``(n, d)`` or ``(d,)``, any real dtype.
        dim: the width expected.
        what: what the array is, for messages.
    Raises:
        ShapeError: not one or two axes of real numbers, no columns, or not ``dim`` wide.
        VectorError: a value is not finite, or a row is zero.
    """
    rows = np.asarray(array)
    if rows.ndim == 1:
        rows = rows[np.newaxis]
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "fiu":
        raise ShapeError(f"{what}: expected (n, d) real numbers, got shape {rows.shape} of {rows.dtype}")
    if dim is not None and rows.shape[1] != dim:
        raise ShapeError(f"{what}: expected {dim} columns, got {rows.shape[1]}")
    result = np.ascontiguousarray(rows, dtype=np.float32)  # (n, d)
    norms = np.sqrt(np.einsum("nd,nd->n", result, result, dtype=np.float64))  # (n,)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        reason = "zero" if norms[bad[0]] == 0 else "not finite"
        raise VectorError(f"{what}: row {bad[0]} is {reason} ({bad.size} such rows of {len(rows)})")
    # Half-precision unit rows are left as they are, so that what was exported is the same when it comes back.
    tolerance = 5e-4 if rows.dtype == np.float16 else 1e-6
    if np.all(np.abs(norms - 1) < tolerance):
        return result
    scaled: Vectors = (result / norms[:, np.newaxis]).astype(np.float32)
    return scaled


def best(ids: Ids, scores: NDArray[np.float32], *, k: int) -> Neighbors:
    """Keep each row's best ``k``, ties by smaller id, padding (-1) last.

    Args:
        ids: ``(q, s)`` int64, padded with -1.
        scores: ``(q, s)`` float32.
    Returns:
        ids and scores, ``(q, k)``, padded with -1 and -inf where ``s < k``.
    """
    scores = np.where(ids < 0, -np.inf, scores).astype(np.float32)  # (q, s)
    order = np.lexsort((ids, -scores), axis=-1)[:, :k]  # (q, min(s, k))
    ids = np.take_along_axis(ids, order, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    short = k - ids.shape[1]
    if short > 0:
        ids = np.pad(ids, ((0, 0), (0, short)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, short)), constant_values=-np.inf)
    return Neighbors(ids=np.where(np.isneginf(scores), -1, ids), scores=scores)

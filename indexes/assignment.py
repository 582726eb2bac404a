"""Find the nearest of many centroids by fewer dimensions first: what most of a build's time goes into.

Rows are compared with all centroids along the axes in which these lie furthest apart from zero, and with the best few of them
along all dimensions. FAISS keeps the lists' own quantiser: only k-means and adding look this way, searches do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from indexes.arrays import Vectors
from indexes.backend import faiss

LISTS, DIM = 1024, 256
"""Least lists and width for which it pays: with fewer, comparing all dimensions is no longer most of the time."""

PART, CANDIDATES = 4, 4
"""Axes are a fourth of the width, and so many centroids are compared wholly."""

BLOCK = 4096
"""Least rows added at once for which it pays: the axes are found anew each time."""

_ROWS = 16_384  # whose axes stand for those of all


def pays(inner: Any) -> bool:
    """Say whether an index with inverted lists has so many, of such a width, that this saves time."""
    module = faiss()
    return (
        isinstance(inner, module.IndexIVF)
        and inner.nlist >= LISTS
        and inner.d >= DIM
        and isinstance(module.downcast_index(inner.quantizer), module.IndexFlat)
    )


def quantizer(rows: Vectors, metric: int) -> Any:
    """Return an empty FAISS index that finds nearest rows by the principal axes of ``rows``, ``(m, d)``, first.

    The axes are not about the mean: inner products are to be kept, and the common mean of embeddings is much of them.
    """
    module = faiss()
    width = rows.shape[1]
    some = rows[:: max(1, len(rows) // _ROWS)]
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))  # (d, d), the widest last
    narrow = width // PART
    matrix = np.ascontiguousarray(axes[:, : -narrow - 1 : -1].T, dtype=np.float32)  # (narrow, d)
    turn = module.LinearTransform(width, narrow, False)  # noqa: FBT003 - without a bias
    module.copy_array_to_vector(matrix.reshape(-1), turn.A)
    turn.is_trained = True
    found = module.IndexRefineFlat(module.IndexPreTransform(turn, module.IndexFlat(narrow, metric)))
    found.k_factor = float(CANDIDATES)
    return found


def rough_of(inner: Any) -> Any:
    """Return a quantiser that finds the lists of ``inner``, trained, by fewer dimensions first."""
    own = inner.quantizer
    centroids = own.reconstruct_n(0, own.ntotal)
    rough = quantizer(centroids, inner.metric_type)
    rough.add(centroids)
    return rough


@contextmanager
def replaced(inner: Any, rough: Any) -> Iterator[None]:
    """Let ``inner`` assign by ``rough``, for a while and unless it is None."""
    own = inner.quantizer if rough is not None else None
    if own is not None:
        inner.quantizer = rough
    try:
        yield
    finally:
        if own is not None:
            inner.quantizer = own

"""Assign vectors to the nearest of many centroids, by fewer dimensions first.

Rows are compared with all centroids along the axes in which these lie furthest apart from zero, and with the best few of them
along all dimensions. FAISS keeps the lists' own quantiser: only k-means and adding look this way, searches do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from indexes.engine import faiss, linear
from indexes.vectors import Vectors

LISTS, DIM, ADDED = 1024, 256, 4096
"""Least lists, width and rows added at once for which it is done; the axes are found anew whenever rows are added."""

PART, CANDIDATES = 4, 4
"""Axes are a fourth of the width, and so many centroids are compared wholly."""

_SAMPLE = 16_384  # rows whose axes stand for those of all


def pays(inner: Any) -> bool:
    """Say whether an index has so many inverted lists, of such a width, that rows are assigned so."""
    module = faiss()
    return (
        isinstance(inner, module.IndexIVF)
        and inner.nlist >= LISTS
        and inner.d >= DIM
        and isinstance(module.downcast_index(inner.quantizer), module.IndexFlat)
    )


Centroids: TypeAlias = Callable[[Vectors, int], Any]
"""Makes an empty index that finds nearest centroids, of rows like these and a metric."""


@contextmanager
def in_training(inner: Any, sample: Vectors, *, centroids: Centroids | None = None) -> Iterator[None]:
    """Let k-means on ``sample``, ``(m, d)``, look by fewer dimensions first where that `pays`, or as ``centroids`` do."""
    if not isinstance(inner, faiss().IndexIVF) or (centroids is None and not pays(inner)):
        yield
        return
    rough = (centroids or _quantizer)(sample, inner.metric_type)
    inner.clustering_index = rough
    try:
        yield
    finally:
        inner.clustering_index = None


class Rough:
    """Stands in for the quantiser of ``inner``, trained, while rows are added; made with the first that are many."""

    def __init__(self, inner: Any, *, centroids: Centroids | None = None) -> None:
        self._inner, self._make = inner, centroids or _quantizer
        self._pays = pays(inner) if centroids is None else isinstance(inner, faiss().IndexIVF)
        self._made: Any = None

    @contextmanager
    def adding(self, count: int) -> Iterator[None]:
        """Let ``count`` rows be assigned by fewer dimensions first where that `pays`, or by the centroids given."""
        if not self._pays or count < ADDED:
            yield
            return
        own = self._inner.quantizer
        if self._made is None:
            centroids = own.reconstruct_n(0, own.ntotal)
            self._made = self._make(centroids, self._inner.metric_type)
            self._made.add(centroids)
        self._inner.quantizer = self._made
        try:
            yield
        finally:
            self._inner.quantizer = own


def _quantizer(rows: Vectors, metric: int) -> Any:
    """Return an empty FAISS index that finds nearest rows by the principal axes of ``rows``, ``(m, d)``, first.

    The axes are not about the mean: inner products are to be kept, and the common mean of embeddings is much of them.
    """
    module = faiss()
    some = rows[:: max(1, len(rows) // _SAMPLE)]
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))  # (d, d), the widest last
    narrow = rows.shape[1] // PART
    turn = linear(axes[:, : -narrow - 1 : -1].T)
    found = module.IndexRefineFlat(module.IndexPreTransform(turn, module.IndexFlat(narrow, metric)))
    found.k_factor = float(CANDIDATES)
    return found

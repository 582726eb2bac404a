"""Assign vectors to the nearest of many centroids, by fewer dimensions first or by a graph.

Wide rows are compared with all centroids along the axes in which these lie furthest apart from zero, and with the best few of them
along all dimensions. Narrow ones find one of very many centroids through a graph (HNSW: Malkov and Yashunin 2016, arXiv 1603.09320), so
that a row costs about as much however many lists there are. FAISS keeps the lists' own quantiser: only k-means and adding look these
ways, searches do not.
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

GRAPH_LISTS = 4096
"""Least lists whose centroids narrow rows find through a graph.

Of 12,608 centroids of 128 dimensions a row takes 38 microseconds to find the nearest by comparing all, and 14 by this graph, which finds
the nearest for 94 % of rows and the second for most others (one thread, AMD EPYC).
"""

_LINKS, _IN_SIGHT = 32, 8  # of a centroid in the graph; and that a row's search keeps
_SAMPLE = 16_384  # rows whose axes stand for those of all


def pays(inner: Any) -> bool:
    """Say whether an index has so many inverted lists, of such a width, that rows are assigned by fewer dimensions first."""
    return _is_flat(inner) and bool(inner.nlist >= LISTS and inner.d >= DIM)


def _is_flat(inner: Any) -> bool:
    module = faiss()
    return isinstance(inner, module.IndexIVF) and isinstance(
        module.downcast_index(inner.quantizer), module.IndexFlat
    )


def _by_graph(inner: Any) -> bool:
    """Say whether an index has so many lists of narrow rows that a graph finds the nearest sooner."""
    return _is_flat(inner) and bool(inner.nlist >= GRAPH_LISTS and inner.d < DIM)


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
        graph = centroids is None and _by_graph(inner)
        self._inner, self._make = inner, centroids or (_graph if graph else _quantizer)
        self._pays = graph or pays(inner) if centroids is None else isinstance(inner, faiss().IndexIVF)
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


def _graph(rows: Vectors, metric: int) -> Any:
    """Return an empty FAISS graph that finds nearest rows like ``rows``, ``(m, d)``."""
    found = faiss().IndexHNSWFlat(rows.shape[1], _LINKS, metric)
    found.hnsw.efSearch = _IN_SIGHT
    return found

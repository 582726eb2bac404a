"""Choose the inverted lists of queries once, and search several indexes of one training in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.engine import faiss
from indexes.engine.lists import chain, ivf
from indexes.vectors import Ids, Neighbors, Vectors

_IDS = False  # ids come back, not pairs of lists and offsets


class Probes(NamedTuple):
    """Where some queries are looked for, in every index of one training. A tuple of arrays: it travels.

    Attributes:
        rows: ``(q, w)`` float32 queries behind the index's own transforms.
        lists: ``(q, p)`` int64 numbers of lists, nearest first; padded with -1.
        distances: ``(q, p)`` float32 of their centroids, as the coarse quantiser measures them.
    """

    rows: Vectors
    lists: Ids
    distances: NDArray[np.float32]

    def part(self, start: int, stop: int) -> Probes:
        """Return those of some of the queries."""
        return Probes(self.rows[start:stop], self.lists[start:stop], self.distances[start:stop])


def choose_lists(index: Any, queries: Vectors, *, nprobe: int) -> Probes:
    """Choose the nearest lists of queries ``(q, d)`` in an index with lists."""
    inner = ivf.innermost(index)
    rows = np.ascontiguousarray(chain.apply(index, queries), dtype=np.float32)
    wanted = min(nprobe, inner.nlist)
    params = ivf.parameters(inner, nprobe=wanted, shortlist=1)
    coarse = getattr(params, "quantizer_params", None)
    distances, lists = inner.quantizer.search(rows, wanted, params=coarse)
    return Probes(rows, lists, distances)


def search_lists(inner: Any, probed: Probes, *, k: int, params: Any) -> Neighbors:
    """Find each query's best ``k`` in the lists that were chosen for it, by the codes alone.

    Args:
        inner: the innermost index, of the training that the lists were chosen by.
        probed: what `choose_lists` returned.
        k: neighbours wanted.
        params: FAISS's parameters (`ivf.parameters`) for so many lists.
    Returns:
        ids and the index's own estimates, ``(q, k)``, higher is better; they compare among indexes of one training. Best
        first, padded with -1 and -inf.
    """
    module = faiss()
    count = len(probed.lists)
    scores, ids = np.empty((count, k), dtype=np.float32), np.empty((count, k), dtype=np.int64)
    arrays = [np.ascontiguousarray(array) for array in probed]  # held until the call returns
    rows, lists, distances = (module.swig_ptr(array) for array in arrays)
    inner.search_preassigned_c(
        count, rows, k, lists, distances, module.swig_ptr(scores), module.swig_ptr(ids), _IDS, params
    )
    if inner.metric_type != module.METRIC_INNER_PRODUCT:
        scores = -scores
    if ids[:, -1:].min(initial=0) < 0:
        scores[ids < 0] = -np.inf
    return Neighbors(ids=ids, scores=scores)

"""Find the inverted lists that lie nearest to vectors: where an index would keep them, and where it would look for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine import faiss, faiss_threads, threads
from indexes.engine.lists import chain
from indexes.vectors import Vectors

_EFFORT = 64  # nodes that a graph of centroids keeps in sight, at least


def nearest_lists(index: Any, queries: Vectors, *, nprobe: int) -> NDArray[np.int64]:
    """Return the lists that a search of an inverted-file index probes, ``(q, nprobe)``, nearest first; padded with -1.

    Args:
        index: trained, with transforms before it or without.
        queries: ``(q, d)`` float32 C-contiguous unit rows.
        nprobe: how many, at most as many as there are.
    """
    module = faiss()
    quantizer = module.downcast_index(chain.behind(index).quantizer)
    params = None
    if isinstance(quantizer, module.IndexHNSW):
        params = module.SearchParametersHNSW(efSearch=max(_EFFORT, 2 * nprobe))
    with faiss_threads(1 if len(queries) == 1 else threads()):
        turned = np.ascontiguousarray(chain.apply(index, queries), dtype=np.float32)
        found: NDArray[np.int64] = quantizer.search(turned, nprobe, params=params)[1]
    return found


def list_residual(index: Any, rows: Vectors) -> float:
    """Return the mean squared distance of rows ``(n, d)`` to the centroids of their lists: what the codes have left to describe."""
    if not len(rows):
        return 0.0
    lists = nearest_lists(index, rows, nprobe=1)[:, 0]
    turned = np.ascontiguousarray(chain.apply(index, rows), dtype=np.float32)
    centroids = faiss().downcast_index(chain.behind(index).quantizer).reconstruct_batch(lists)
    return float(np.mean(np.square(turned - centroids).sum(axis=1)))

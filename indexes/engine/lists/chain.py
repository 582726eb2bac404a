"""Train and apply the transforms that stand before a FAISS index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from indexes.engine import faiss
from indexes.vectors import Vectors


def behind(index: Any) -> Any:
    """Return what the transformed rows go to, as its own class; the index itself where nothing stands before it."""
    module = faiss()
    index = module.downcast_index(index)
    return behind(index.index) if isinstance(index, module.IndexPreTransform) else index


def apply(index: Any, rows: Vectors) -> Vectors:
    """Apply the transforms that stand before an index; ``rows`` itself where there are none."""
    for transform in transforms(index):
        rows = transform.apply(rows)
    return rows


def train(index: Any, sample: Vectors) -> Vectors:
    """Train the transforms that stand before an index, in place, and return what they make of the sample."""
    for transform in transforms(index):
        if not transform.is_trained:
            _train(transform, sample)
        sample = transform.apply(sample)
    return sample


def finish(index: Any) -> None:
    """Let an index know what happened to the one behind its transforms: that it was trained, and how many rows it has."""
    last = behind(index)
    for outer in _outer(index):
        outer.is_trained, outer.ntotal = last.is_trained, last.ntotal


def transforms(index: Any) -> Iterator[Any]:
    """Yield the transforms in their order, as their own classes."""
    for outer in _outer(index):
        for number in range(outer.chain.size()):
            yield faiss().downcast_VectorTransform(outer.chain.at(number))


def _outer(index: Any) -> Iterator[Any]:
    module = faiss()
    index = module.downcast_index(index)
    while isinstance(index, module.IndexPreTransform):
        yield index
        index = module.downcast_index(index.index)


def _train(transform: Any, sample: Vectors) -> None:
    """Train one; OPQ gets the quantiser that it alternates with, set not to print, while it trains."""
    module = faiss()
    if not isinstance(transform, module.OPQMatrix) or transform.pq is not None:
        transform.train(sample)
        return
    books = module.ProductQuantizer(transform.d_out, transform.M, 8)
    books.cp.min_points_per_centroid = 1
    transform.pq = books
    try:
        transform.train(sample)
    finally:
        transform.pq = None

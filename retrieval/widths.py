"""Measure search by prefixes of several widths: what each finds, alone and before reranking, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import funnel, prefixes
from indexes.backend import one_thread
from indexes.derive import check_dim
from indexes.flat import exact
from indexes.metrics import knn_accuracy, recall_at_k
from indexes.rotate import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.arrays import Bitmap, Ids, Vectors
    from indexes.space import Space
    from retrieval.collection import Collection

K = 10
SHORTLIST = 100
"""Candidates reranked where no index was tuned."""

_TIMED = 200
_WIDTHS = (16, 32, 64, 128, 256, 512)


def widths_of(space: Space) -> tuple[int, ...]:
    """Return the widths to measure where none are named: the prefixes of the space, or powers of two, and the whole."""
    widths = space.nesting or tuple(width for width in _WIDTHS if width < space.dim)
    return tuple(sorted({*widths, space.dim}))


def by_width(
    collection: Collection,
    dims: Sequence[int],
    *,
    ids: Ids,
    labelled: Ids | None = None,
    labels: NDArray[Any] | None = None,
) -> list[dict[str, Any]]:
    """Measure each width against exact search at full width.

    Rows of an encoder without prefixes are turned first: by the rotation that the build recorded, or else by a PCA
    fitted here on all rows. A width is measured exactly, not through the collection's own index.

    Args:
        collection: an open one.
        dims: widths, each a prefix of the space, or any where it has none.
        ids: ``(q,)`` stored rows that ask, each left out of its own answers.
        labelled: ``(m,)`` rows with labels.
        labels: ``(m,)`` theirs.
    Returns:
        for each width, rising: ``dim``, ``recall_at_10`` of its own order, ``recall_at_10_reranked`` of the shortlist ordered
        at full width, ``knn_accuracy``, ``bytes_per_vector`` (float16), ``latency_ms`` of one reranked query.
    Raises:
        OptionError: a width that cannot be.
    """
    space, rows = collection.space, collection.rows  # (n, d)
    for dim in dims:
        check_dim(space, dim, rows=len(collection))
    keep = None if collection.live.all() else collection.live
    rotation = _rotation(collection, dims)
    queries = collection.vectors(ids)
    true = _others(exact(rows, queries, k=K + 1, keep=keep).ids, ids)
    shortlist = max(collection.manifest.index.shortlist or SHORTLIST, K + 1)
    found = []
    for dim in sorted(set(dims)):
        measured = _one(rows, keep, queries, ids, true, dim=dim, rotation=rotation, shortlist=shortlist)
        accuracy = None
        if labelled is not None and labels is not None:
            accuracy = knn_accuracy(_heads(rows[labelled], dim, rotation), labels)
        found.append({"dim": dim, **measured, "knn_accuracy": accuracy})
    return found


def _rotation(collection: Collection, dims: Sequence[int]) -> Vectors | None:
    """Return what turns the rows before they are cut, None where they need no turning."""
    narrow = sorted(dim for dim in dims if dim < collection.space.dim)
    if collection.space.nesting or not narrow:
        return None
    recorded = collection.rotation
    if recorded is not None:
        return recorded.matrix
    return fit(collection.space, collection.rows, np.flatnonzero(collection.live), widths=narrow).matrix


def _one(
    rows: NDArray[np.float16],
    keep: Bitmap | None,
    queries: Vectors,
    own: Ids,
    true: Ids,
    *,
    dim: int,
    rotation: Vectors | None,
    shortlist: int,
) -> dict[str, Any]:
    full = dim == rows.shape[1]
    heads = _heads(rows, dim, rotation)
    asked = queries if full else prefixes.head(queries, dim, rotation=rotation)
    stages = (funnel.Stage(dim=dim, shortlist=shortlist),)

    def search(some: Vectors, k: int) -> Ids:
        if full:
            return exact(rows, some, k=k, keep=keep).ids
        return funnel.search(rows, some, stages, k=k, keep=keep, heads=heads, rotation=rotation).ids

    return {
        "recall_at_10": recall_at_k(_others(exact(heads, asked, k=K + 1, keep=keep).ids, own), true),
        "recall_at_10_reranked": recall_at_k(_others(search(queries, K + 1), own), true),
        "bytes_per_vector": 2.0 * dim,
        "latency_ms": _latency(lambda query: search(query, K), queries[:_TIMED]),
    }


def _heads(rows: NDArray[np.float16], dim: int, rotation: Vectors | None) -> NDArray[np.float16]:
    return rows if dim == rows.shape[1] else funnel.compact(rows, dim, rotation=rotation)


def _others(found: Ids, own: Ids) -> Ids:
    """Take each query's own row out of its list; where it is not in it, the last place."""
    same = found == own[:, np.newaxis]
    same[~same.any(axis=1), -1] = True
    rest: Ids = found[~same].reshape(len(found), -1)
    return rest


def _latency(search: Any, queries: Vectors) -> dict[str, float]:
    seconds = []
    with one_thread():
        for query in queries:
            began = time.perf_counter()
            search(query[np.newaxis])
            seconds.append(time.perf_counter() - began)
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000 if seconds else (0.0, 0.0)
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4)}

"""Search by a short prefix first, then order the shortlist at full width."""

from __future__ import annotations

import numpy as np

from indexes import flat
from indexes.arrays import Bitmap, Neighbors, Vectors, best
from indexes.flat import Halves

_BLOCK = 65_536
_FACTOR = 10  # candidates a neighbour wanted, where nothing was tuned


def by_prefix(
    rows: Halves,
    queries: Vectors,
    *,
    dim: int,
    k: int,
    keep: Bitmap | None = None,
    shortlist: int | None = None,
) -> Neighbors:
    """Rank every row by its first ``dim`` components, normalised, and the best of them by the whole.

    Args:
        rows: ``(n, d)`` float16 unit rows.
        queries: ``(q, d)`` float32 unit rows.
        dim: prefix width, less than ``d``.
        k: neighbours wanted.
        keep: ``(n,)`` flags of rows to consider.
        shortlist: candidates ordered at full width, at least ``k`` are; None for ten for each neighbour wanted.
    Returns:
        ids and cosines at full width, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
    """
    wanted = max(k, shortlist or _FACTOR * k)
    heads = _head(queries, dim)
    found = Neighbors(
        ids=np.full((len(queries), 0), -1, dtype=np.int64),
        scores=np.full((len(queries), 0), -np.inf, dtype=np.float32),
    )
    for start in range(0, len(rows), _BLOCK):
        block = _head(rows[start : start + _BLOCK], dim).astype(np.float16)
        flags = None if keep is None else keep[start : start + _BLOCK]
        here = flat.exact(block, heads, k=wanted, keep=flags, first_id=start)
        found = best(np.hstack((found.ids, here.ids)), np.hstack((found.scores, here.scores)), k=wanted)
    scores = np.full(found.ids.shape, -np.inf, dtype=np.float32)
    for number, ids in enumerate(found.ids):
        real = ids >= 0
        scores[number, real] = np.einsum("md,d->m", rows[ids[real]].astype(np.float32), queries[number])
    return best(found.ids, scores, k=k)


def _head(rows: Halves | Vectors, dim: int) -> Vectors:
    head = np.ascontiguousarray(rows[:, :dim]).astype(np.float32)
    head /= np.maximum(np.linalg.norm(head, axis=1, keepdims=True), np.float32(1e-12))
    return head

"""Find pairs of rows whose vectors are alike: within a collection, and between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Ids
    from retrieval.collection import Collection
    from retrieval.progress import OnProgress

__all__ = ["AT_MOST", "Candidates", "between", "within"]

AT_MOST: Final = 50
"""Pairs of one row at most."""

_BLOCK: Final = 1024


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of rows, each once.

    Attributes:
        pairs: ``(p, 2)`` int64.
        scores: ``(p,)`` float32 cosines.
        cut: pairs that were left out, because a row has too many.
    """

    pairs: NDArray[np.int64]
    scores: NDArray[np.float32]
    cut: int = 0


def within(
    collection: Collection, mask: Bitmap, *, threshold: float, progress: OnProgress | None = None
) -> Candidates:
    """Return the pairs of rows of a collection whose cosine is at least a threshold, at most `AT_MOST` a row.

    Args:
        collection: the collection.
        mask: ``(count,)`` flags of the rows that count.
        threshold: the least cosine.
        progress: called now and then.
    """
    found = list(_neighbours(collection, collection, np.flatnonzero(mask), mask, threshold, progress))
    return _joined(found, same=True)


def between(
    collection: Collection,
    other: Collection,
    mask: Bitmap,
    *,
    threshold: float,
    progress: OnProgress | None = None,
) -> Candidates:
    """Return pairs of a row of one collection and a row of another one; takes what `within` does.

    The rows of the other collection are numbered behind those of the first.
    """
    found = list(_neighbours(collection, other, np.flatnonzero(mask), other.live, threshold, progress))
    joined = _joined(found, same=False)
    return Candidates(joined.pairs + np.array([0, len(mask)]), joined.scores, joined.cut)


def _neighbours(
    collection: Collection,
    other: Collection,
    ids: Ids,
    mask: Bitmap,
    threshold: float,
    progress: OnProgress | None,
) -> Iterator[tuple[Ids, Ids, NDArray[np.float32], int]]:
    """Yield rows, rows like them and their cosines, block by block, and how many were left out."""
    everything = bool((mask == other.live).all())
    for start in range(0, len(ids), _BLOCK):
        block = ids[start : start + _BLOCK]
        near = other.search_vectors(
            collection.vectors(block), k=AT_MOST + 1, mask=None if everything else mask
        )
        kept = (near.ids >= 0) & (near.scores >= threshold)  # (b, k)
        if other is collection:
            kept &= near.ids != block[:, None]
        full = kept.sum(axis=1) > AT_MOST
        kept[full, -1] = False
        rows = np.repeat(block, kept.sum(axis=1))
        yield rows, near.ids[kept], near.scores[kept], int(full.sum())
        if progress is not None:
            progress(Progress(phase="join", done=min(start + _BLOCK, len(ids)), total=len(ids)))


def _joined(found: list[tuple[Ids, Ids, NDArray[np.float32], int]], *, same: bool) -> Candidates:
    """Put blocks together; a pair that was found from both sides is one."""
    if not found:
        return Candidates(np.empty((0, 2), np.int64), np.empty(0, np.float32))
    first = np.concatenate([rows for rows, _, _, _ in found]).astype(np.int64)
    second = np.concatenate([others for _, others, _, _ in found]).astype(np.int64)
    scores = np.concatenate([values for _, _, values, _ in found]).astype(np.float32)
    pairs = np.stack([first, second], axis=1)
    if same:
        pairs.sort(axis=1)
    pairs, places = np.unique(pairs, axis=0, return_index=True)
    return Candidates(pairs, scores[places], sum(cut for _, _, _, cut in found))

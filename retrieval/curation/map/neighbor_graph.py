"""Find the nearest neighbours of each row among some rows of a collection, by its own index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Neighbors
    from retrieval.collection import Collection

_BLOCK: Final = 1_024
_EXACT: Final = 20_000
"""Rows up to which each is compared with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborGraph:
    """The nearest others of each of ``n`` rows.

    Attributes:
        places: ``(n, k)`` their places among the rows, the nearest first.
        scores: ``(n, k)`` cosines.
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float32]


def neighbor_graph(
    collection: Collection,
    mask: Bitmap,
    *,
    number: int,
    told: Callable[[int], None] = lambda _: None,
) -> NeighborGraph:
    """Find the nearest others of each row.

    Args:
        collection: what the rows are of.
        mask: the rows; only these count as neighbours.
        number: how many neighbours; all others where there are fewer.
        told: is called with how many rows are done.
    """
    ids = collection.row_ids(mask)
    wanted = min(number, max(len(ids) - 1, 0))
    places = np.zeros((len(ids), wanted), dtype=np.int64)
    scores = np.zeros((len(ids), wanted), dtype=np.float32)
    for start in range(0, len(ids) if wanted else 0, _BLOCK):
        some = ids[start : start + _BLOCK]
        found, near, full = _others(collection, some, mask, wanted, exact=len(ids) <= _EXACT)
        if not full.all():  # an index that looks at few lists may find too few rows that pass the filters
            found[~full], near[~full], _ = _others(collection, some[~full], mask, wanted, exact=True)
        places[start : start + _BLOCK] = np.searchsorted(ids, found)
        scores[start : start + _BLOCK] = near
        told(start + len(some))
    return NeighborGraph(places=places, scores=scores)


def _others(
    collection: Collection, ids: NDArray[np.int64], mask: Bitmap, wanted: int, *, exact: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Return ids and cosines of the nearest others, ``(m, wanted)``, and of which rows there were enough, ``(m,)``."""
    found: Neighbors = collection.search_vectors(
        collection.vectors(ids), k=wanted + 1, mask=mask, exact=exact
    )
    others = (found.ids >= 0) & (found.ids != ids[:, None])  # (m, wanted + 1)
    first = np.argsort(~others, axis=1, kind="stable")[:, :wanted]
    near = np.take_along_axis(found.scores, first, axis=1)
    return np.take_along_axis(found.ids, first, axis=1), np.clip(near, -1, 1), others.sum(axis=1) >= wanted

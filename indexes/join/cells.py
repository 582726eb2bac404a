"""Group rows into cells of rows that lie near each other: those of an index's lists, or of lists trained for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count as counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine import Floats, factory_strings, in_threads, ivf, threads
from indexes.join.crowds import Crowds, uncrowded
from indexes.join.wide_rows import lengths, wide
from indexes.vectors import Bitmap, Halves, Ids, Vectors, as_stacked

_SAMPLED = 16  # rows of a cell whose mean is its centroid
_TRAINED = 40  # rows a cell that cells are trained on
_CHUNK = 256  # rows compared with all centroids at a time
_TILE = 1024  # rows of a cell where nothing tells near rows from far ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Rows by cells.

    Attributes:
        centroids: ``(c, d)`` float32 unit rows; None if every cell has to be searched for every row.
        ids: ``(m,)`` rows, cell by cell; a row that others stand for is in none.
        places: ``(c + 1,)`` where each cell begins in them.
        cell_of: ``(count,)`` int32 cell of each row, -1 for one that is in none.
        hidden: ``(count,)`` int32: near-identical rows that others stand for, which a row is not compared with; None if no row
            is hidden.
    """

    centroids: Vectors | None
    ids: Ids
    places: Ids
    cell_of: NDArray[np.int32]
    hidden: NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.places) - 1

    @property
    def sizes(self) -> Ids:
        """Rows in each cell, ``(c,)``."""
        return np.diff(self.places)

    def members(self, cell: int) -> Ids:
        """Return the rows of a cell."""
        return self.ids[self.places[cell] : self.places[cell + 1]]


def whole(count: int, ids: Ids) -> Cells:
    """Return cells of consecutive rows, all of which are to be searched for every row.

    Args:
        count: rows that there are.
        ids: ``(m,)`` those that may be found, ascending.
    """
    places = np.append(np.arange(0, len(ids), _TILE), len(ids))
    return Cells(
        centroids=None,
        ids=ids,
        places=places.astype(np.int64),
        cell_of=np.zeros(count, dtype=np.int32),
        hidden=None,
    )


def of_indexes(indexes: Sequence[Any], rows: Halves, live: Bitmap | None, *, threshold: float) -> Cells:
    """Return the lists of indexes as cells; rows that none holds go to the nearest.

    Args:
        indexes: FAISS indexes with inverted lists, whose ids are positions in ``rows``: one, or as many of one training as
            there are arrays that ``rows`` stacks, None for an array without one.
        rows: ``(n, d)`` float16.
        live: ``(n,)`` flags of the rows that may be found; None for all.
        threshold: the least cosine of a pair.
    """
    cell_of = np.full(len(rows), -1, dtype=np.int32)
    stacked, lists = as_stacked(rows), 0
    for index, part, start in zip(indexes, stacked.parts, stacked.starts.tolist(), strict=True):
        if index is None:
            continue
        ids, places = ivf.ids_of_lists(index)
        lists = len(places) - 1
        cell = np.repeat(np.arange(lists, dtype=np.int32), np.diff(places))  # (m,)
        inside = (ids >= 0) & (ids < len(part))
        if live is not None:
            inside &= live[start + np.where(inside, ids, 0)]
        cell_of[start + ids[inside]] = cell[inside]
    return _finished(rows, live, cell_of, lists=lists, threshold=threshold)


def trained(rows: Halves, live: Bitmap | None, *, threshold: float, seed: int = 0) -> Cells:
    """Train cells by k-means and assign all rows to them; the arguments are those of `of_indexes`."""
    ids = np.arange(len(rows)) if live is None else np.flatnonzero(live)
    lists = factory_strings.lists_for(len(ids))
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(ids, min(len(ids), lists * _TRAINED), replace=False))
    index = ivf.make(f"IVF{lists},Flat", dim=rows.shape[1])
    ivf.train(index, wide(rows, some), seed=seed)
    centroids = ivf.innermost(index).quantizer.reconstruct_n(0, lists)
    cell_of = np.full(len(rows), -1, dtype=np.int32)
    _assign(rows, ids, centroids, cell_of)
    return _finished(rows, live, cell_of, lists=lists, threshold=threshold)


def _finished(
    rows: Halves, live: Bitmap | None, cell_of: NDArray[np.int32], *, lists: int, threshold: float
) -> Cells:
    """Give cells their centroids, put rows without one into the nearest, and take crowded ones apart."""
    ids, places = _grouped(cell_of, lists)
    filled = np.flatnonzero(np.diff(places))
    if len(filled) == 0:
        return whole(len(rows), np.flatnonzero(live) if live is not None else np.arange(len(rows)))
    if len(filled) < lists:
        number = np.full(lists, -1, dtype=np.int32)
        number[filled] = np.arange(len(filled), dtype=np.int32)
        cell_of = np.where(cell_of < 0, np.int32(-1), number[cell_of])
        ids, places = _grouped(cell_of, len(filled))
    centroids = _centroids(rows, ids, places)
    loose = np.flatnonzero(cell_of < 0 if live is None else (cell_of < 0) & live)
    if len(loose):
        _assign(rows, loose, centroids, cell_of)
        ids, places = _grouped(cell_of, len(centroids))
    crowds = uncrowded(rows, ids, places, centroids, threshold=threshold)
    if crowds is not None:
        ids, places, cell_of, centroids = _split(rows, crowds, places, cell_of, centroids, ids)
    return Cells(
        centroids=centroids,
        ids=ids,
        places=places,
        cell_of=cell_of,
        hidden=None if crowds is None else crowds.hidden,
    )


def _split(
    rows: Halves, crowds: Crowds, places: Ids, cell_of: NDArray[np.int32], centroids: Vectors, ids: Ids
) -> tuple[Ids, Ids, NDArray[np.int32], Vectors]:
    """Put what crowded cells were taken apart into in their place."""
    for cell in crowds.cells:
        cell_of[ids[places[cell] : places[cell + 1]]] = -1
    for number, part in enumerate(crowds.parts, start=len(centroids)):
        cell_of[part] = number
    kept = np.setdiff1d(np.arange(len(centroids) + len(crowds.parts)), crowds.cells)
    number_of = np.full(len(centroids) + len(crowds.parts), -1, dtype=np.int32)
    number_of[kept] = np.arange(len(kept), dtype=np.int32)
    cell_of = np.where(cell_of < 0, np.int32(-1), number_of[cell_of])
    ids, places = _grouped(cell_of, len(kept))
    return ids, places, cell_of, _centroids(rows, ids, places)


def _grouped(cell_of: NDArray[np.int32], cells: int) -> tuple[Ids, Ids]:
    """Return the rows by their cells, each cell's ascending, and where each cell begins."""
    order = np.argsort(cell_of, kind="stable")
    places = np.searchsorted(cell_of, np.arange(cells + 1), sorter=order)
    return order[places[0] :], places - places[0]


def _centroids(rows: Halves, ids: Ids, places: Ids) -> Vectors:
    """Return the normalised mean of some rows of each cell, none of which is empty: ``(c, d)``."""
    sizes = np.diff(places)
    taken = np.minimum(sizes, _SAMPLED)
    first = np.cumsum(taken) - taken
    step = np.arange(taken.sum()) - np.repeat(first, taken)
    place = np.repeat(places[:-1], taken) + step * np.repeat(sizes, taken) // np.repeat(taken, taken)
    means = np.empty((len(sizes), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(sizes), _TILE):
        stop = min(start + _TILE, len(sizes))
        low, high = first[start], first[stop - 1] + taken[stop - 1]
        some = wide(rows, ids[place[low:high]])
        means[start:stop] = np.add.reduceat(some, first[start:stop] - low, axis=0)
    means /= np.maximum(lengths(means), 1e-12)[:, np.newaxis]
    return means


def _assign(rows: Halves, ids: Ids, centroids: Vectors, cell_of: NDArray[np.int32]) -> None:
    """Write the nearest cell of some rows."""

    def write(start: int, scores: NDArray[np.float32]) -> None:
        cell_of[ids[start : start + len(scores)]] = scores.argmax(axis=1)

    compared(rows, ids, centroids, write)


def compared(
    rows: Halves, ids: Ids, centroids: Vectors, use: Callable[[int, NDArray[np.float32]], None]
) -> None:
    """Score some rows against all centroids, in threads.

    Args:
        rows: ``(n, d)`` float16.
        ids: ``(m,)`` which of them.
        centroids: ``(c, d)`` float32.
        use: is called with a place in ``ids`` and the scores ``(b, c)`` of the rows from there on, by several threads; they are
            overwritten afterwards.
    """
    starts = counter(0, _CHUNK)

    def work() -> None:
        product = Floats(centroids)
        buffer = np.empty((_CHUNK, len(centroids)), dtype=np.float32)
        while (start := next(starts)) < len(ids):
            part = rows[ids[start : start + _CHUNK]]
            scores = buffer[: len(part)]
            product.scores(part, scores)
            use(start, scores)

    in_threads(work, workers=max(1, min(threads(), len(ids) // _CHUNK)))

"""Take cells apart that hold too many rows, and let a few rows stand for a crowd of near-identical ones.

A hundred thousand blank pages lie in one cell, and comparing each with each would take ten billion products. So work grows with the
rows only if cells stay small. A crowded cell is split by k-means; where that does not help, because its rows are nearly the same,
some of them stand for all, of however many cells: the others are still compared with those and with every other row, but no longer with each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.engine import ivf
from indexes.join.wide_rows import unit, wide
from indexes.vectors import Bitmap, Halves, Ids, Vectors

MOST = 4096
"""Rows of a cell up to which it is left as it is."""

STANDING = 64
"""Rows that stand for a crowd: at least as many as a row names."""

CROWD = 1024
"""Near-identical rows from which they are a crowd."""

ALIKE = 0.98
"""Least cosine of the rows of a crowd with the one in its middle; a higher threshold of pairs is that."""

_ASKED = 32  # rows that are looked at as the middle of a crowd
_PART = 1024  # rows of a part that a crowded cell is split into, on average
_PARTS = 128  # parts at once, at most
_TRAINED = 40  # rows a part that parts are trained on
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowds:
    """What crowded cells were taken apart into.

    Attributes:
        cells: ``(x,)`` those cells.
        parts: the rows of each cell in their place.
        hidden: ``(count,)`` int32: how many rows of its crowd each row is not compared with.
    """

    cells: Ids
    parts: list[Ids]
    hidden: NDArray[np.int32]


def uncrowded(rows: Halves, ids: Ids, places: Ids, centroids: Vectors, *, threshold: float) -> Crowds | None:
    """Take crowded cells apart; None if there are none.

    Args:
        rows: ``(n, d)`` float16.
        ids: ``(m,)`` rows, cell by cell.
        places: ``(c + 1,)`` where each cell begins.
        centroids: ``(c, d)`` unit rows.
        threshold: the least cosine of a pair.
    """
    alike = max(threshold, ALIKE)
    crowded = _crowded(centroids, np.diff(places), alike=alike)
    if not crowded:
        return None
    hidden = np.zeros(len(rows), dtype=np.int32)
    parts: list[Ids] = []
    for cells in crowded:
        inside = np.concatenate([ids[places[cell] : places[cell + 1]] for cell in cells.tolist()])
        parts += _apart(rows, np.sort(inside), hidden, alike=alike)
    return Crowds(cells=np.concatenate(crowded), parts=parts, hidden=hidden)


def _crowded(centroids: Vectors, sizes: Ids, *, alike: float) -> list[Ids]:
    """Return groups of cells that together hold too many rows: those about one direction, which k-means cuts a crowd into."""
    near = np.empty(len(sizes), dtype=np.int64)
    for start in range(0, len(sizes), _CHUNK):
        part = slice(start, start + _CHUNK)
        near[part] = (centroids[part] @ centroids.T >= alike) @ sizes
    left = np.ones(len(sizes), dtype=np.bool_)
    groups = []
    for cell in np.argsort(-near, kind="stable").tolist():
        if near[cell] <= MOST:
            break
        if left[cell]:
            group = np.flatnonzero((centroids @ centroids[cell] >= alike) & left)
            group = np.union1d(group, [cell])
            left[group] = False
            if sizes[group].sum() > MOST:
                groups.append(group)
    return groups


def _apart(rows: Halves, ids: Ids, hidden: NDArray[np.int32], *, alike: float) -> Iterator[Ids]:
    """Yield parts of at most `MOST` rows."""
    waiting = [ids]
    while waiting:
        part = waiting.pop()
        if len(part) <= MOST:
            if len(part):
                yield part
            continue
        crowd = _crowd(rows, part, alike=alike)
        if crowd is None:
            waiting += _parts(rows, part)
            continue
        inside = part[crowd]
        standing = inside[:: max(1, len(inside) // STANDING)][:STANDING]
        hidden[inside] = len(inside) - len(standing)
        yield standing
        waiting.append(part[~crowd])


def _crowd(rows: Halves, ids: Ids, *, alike: float) -> Bitmap | None:
    """Return which rows are nearly the same as one of them, None if these are few."""
    asked = ids[np.random.default_rng(len(ids)).choice(len(ids), _ASKED, replace=False)]
    near = _scores(rows, ids, asked) >= alike  # (m, _ASKED)
    counts = np.count_nonzero(near, axis=0)
    most = int(counts.argmax())
    return near[:, most] if counts[most] >= max(CROWD, len(ids) // 16) else None


def _parts(rows: Halves, ids: Ids) -> list[Ids]:
    """Split rows by k-means, or by their order where that leaves them together."""
    count = min(_PARTS, -(-len(ids) // _PART))
    rng = np.random.default_rng(len(ids))
    some = np.sort(rng.choice(len(ids), min(len(ids), count * _TRAINED), replace=False))
    index = ivf.make(f"IVF{count},Flat", dim=rows.shape[1])
    ivf.train(index, wide(rows, ids[some]))
    centroids = ivf.innermost(index).quantizer.reconstruct_n(0, count)  # (count, d)
    cell = np.empty(len(ids), dtype=np.int64)
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        cell[part] = (wide(rows, ids[part]) @ centroids.T).argmax(axis=1)
    parts = [ids[cell == number] for number in range(count)]
    if max(map(len, parts)) <= 0.9 * len(ids):
        return parts
    return [ids[start : start + MOST] for start in range(0, len(ids), MOST)]


def _scores(rows: Halves, ids: Ids, asked: Ids) -> Vectors:
    """Return the cosines of some rows with a few: ``(m, q)``."""
    turned = unit(rows, asked)
    scores = np.empty((len(ids), len(asked)), dtype=np.float32)
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores[part] = wide(rows, ids[part]) @ turned.T
    return scores

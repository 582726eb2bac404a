"""Measure how far from a row's nearest cell its pairs lie, so that no more cells are searched than that takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.engine import flat
from indexes.join.cells import Cells, compared
from indexes.join.partners import best_of
from indexes.join.wide_rows import unit
from indexes.vectors import Bitmap, Halves, Ids, Vectors

WANTED = 0.99
"""Share of a sample's pairs that the cells searched are to hold."""

_SAMPLE, _FEWER, _LEAST = (
    1024,
    256,
    64,
)  # rows compared with all others, at most, and where these have pairs enough
FEW = 50
"""A part of the rows that is few: the work of the join is then about that of reading all rows."""

_PART = 0.25  # share of the rows that the sample is compared with where few are asked
_ENOUGH = 1000  # pairs that fewer rows suffice for
_TOLD = 50  # pairs below which a share of them says little
_MEASURED = 8192  # pairs whose cells are looked at
_FREE = 4096  # rows to compare each row with where the sample says little


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which cells are searched for a row.

    Attributes:
        gap: those whose centroid's score is at most so much below the best one's.
        recall: share of the sample's pairs that lie in them; None if it has too few.
        pairs: how many it has.
    """

    gap: float
    recall: float | None
    pairs: int


def measured(
    rows: Halves,
    cells: Cells,
    asked: Ids,
    live: Bitmap | None,
    *,
    threshold: float,
    at_most: int,
) -> Reach:
    """Compare a sample with every row, and see where its pairs lie.

    Args:
        rows: ``(n, d)`` float16.
        cells: of those rows; with centroids.
        asked: ``(q,)`` the rows whose pairs are wanted.
        live: ``(n,)`` flags of the rows that may be found; None for all.
        threshold, at_most: which pairs are wanted.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(asked)
    sample = order[: max(_LEAST, min(_SAMPLE, len(asked) // 256))]
    some = sample[:_FEWER]
    if len(asked) * FEW <= len(rows):
        # Comparing a sample with all would take a quarter of the time: turning rows into floats costs most of it.
        some = order[: 2 * _LEAST]
        one, other = _pairs_with_part(
            rows, some, live, part=rng.random(len(rows)) < _PART, threshold=threshold, at_most=at_most
        )
    else:
        one, other = _pairs(rows, some, live, threshold=threshold, at_most=at_most)
    if len(one) < _ENOUGH and len(sample) > len(some):
        more = _pairs(rows, sample[_FEWER:], live, threshold=threshold, at_most=at_most)
        one, other = np.concatenate((one, more[0])), np.concatenate((other, more[1]))
    there = cells.cell_of[other] >= 0  # the others have rows that stand for them
    one, other = one[there][:_MEASURED], other[there][:_MEASURED]
    if len(one) < _TOLD:
        return Reach(gap=_free(rows, cells, sample[:_FEWER]), recall=None, pairs=len(one))
    gaps = _gaps(rows, cells, one, other)
    gap = float(np.quantile(gaps, WANTED, method="higher"))
    return Reach(gap=gap + 1e-4, recall=float(np.mean(gaps <= gap + 1e-4)), pairs=len(one))


def _pairs(
    rows: Halves, sample: Ids, live: Bitmap | None, *, threshold: float, at_most: int
) -> tuple[Ids, Ids]:
    near = flat.exact(rows, unit(rows, sample), k=at_most + 1, keep=live)
    place, rank = np.nonzero((near.scores >= threshold) & (near.ids != sample[:, np.newaxis]))
    return sample[place], near.ids[place, rank]


def _pairs_with_part(
    rows: Halves, sample: Ids, live: Bitmap | None, *, part: Bitmap, threshold: float, at_most: int
) -> tuple[Ids, Ids]:
    """Do what `_pairs` does with a part of the rows only, of which fewer are a row's best in proportion."""
    ids = np.flatnonzero(part if live is None else part & live)
    found: list[tuple[Ids, Ids, Vectors]] = []

    def write(start: int, scores: NDArray[np.float32]) -> None:
        place, whose = np.nonzero(scores >= threshold)
        found.append((whose, ids[start + place], scores[place, whose]))

    compared(rows, ids, unit(rows, sample), write)
    whose, other, near = (np.concatenate(some) for some in zip(*found, strict=True))
    there = other != sample[whose]
    whose, other, _ = best_of(
        whose[there], other[there], near[there], at_most=max(1, round(at_most * len(ids) / len(rows)))
    )
    return sample[whose], other


def _gaps(rows: Halves, cells: Cells, one: Ids, other: Ids) -> NDArray[np.float32]:
    """Return how much less the cell of each other row scores than the best one, for each row: ``(p,)``."""
    asked, place = np.unique(one, return_inverse=True)
    best = np.empty(len(asked), dtype=np.float32)

    def write(start: int, scores: NDArray[np.float32]) -> None:
        best[start : start + len(scores)] = scores.max(axis=1)

    compared(rows, asked, _centroids(cells), write)
    return best[place] - scores_of_cells(rows, cells, one, cells.cell_of[other])


def scores_of_cells(rows: Halves, cells: Cells, ids: Ids, of: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the score of a row with the centroid of a cell, pair by pair: ``(p,)``."""
    centroids = _centroids(cells)
    scores = np.empty(len(ids), dtype=np.float32)
    for start in range(0, len(ids), _FEWER):
        part = slice(start, start + _FEWER)
        wide = rows[ids[part]].astype(np.float32)
        scores[part] = np.einsum("pd,pd->p", wide, centroids[of[part]])
    return scores


def _free(rows: Halves, cells: Cells, sample: Ids) -> float:
    """Return the gap at which a row is compared with `_FREE` others on average."""
    below: list[NDArray[np.float32]] = []

    def write(_start: int, scores: NDArray[np.float32]) -> None:
        below.append(scores.max(axis=1, keepdims=True) - scores)

    compared(rows, sample, _centroids(cells), write)
    gaps = np.concatenate(below).ravel()  # (s * c,)
    order = np.argsort(gaps)
    rows_within = np.cumsum(np.tile(cells.sizes, len(sample))[order]) / len(sample)
    place = min(int(np.searchsorted(rows_within, _FREE)), len(order) - 1)
    return float(gaps[order[place]])


def _centroids(cells: Cells) -> Vectors:
    if cells.centroids is None:
        raise ValueError("these cells have no centroids: all are searched")
    return cells.centroids

"""Compute the signals that tell whether hits are what was asked: no one of them says it alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.collection.relevance.background import COMPARED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection.relevance.background import Background

VERSION = 2
"""What was calibrated with other signals does not count: 1 compared cosines around zero."""

FIRST = 5
"""Best rows that tell whether a query has an answer."""

LOOKED_AT = FIRST + 5
"""Best rows that these are chosen from: copies among them count once."""

FEWEST = 50
"""Images that must be searched: what tells a match was never measured among fewer."""

OF_QUERY = (
    "mean score of the first",
    "over the best of the background",
    "over the first five of the background",
    "over the first twenty of the background",
    "how alike the first are",
    "how alike the first of the background are",
    "how alike the first are to those",
    "how far those stand out of the background",
    "rows searched",
)
"""What is told of a query, in the order of a calibration's weights."""

OF_ROW = (
    "score",
    "how alike it is to the first",
    "how alike it is to the background's first",
)
"""What is told of a row besides, each less the mean of the first."""

_COPY = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What was found of one query.

    Attributes:
        query: ``(9,)`` float64, as `OF_QUERY` names them.
        rows: ``(m, 3)`` float64, as `OF_ROW` names them.
    """

    query: NDArray[np.float64]
    rows: NDArray[np.float64]


def first_distinct(alike: NDArray[np.float32]) -> list[int]:
    """Return which of some rows, best first, are the first `FIRST` that are no copies of an earlier one.

    Args:
        alike: ``(m, m)`` their cosines around the background's mean.
    """
    kept: list[int] = []
    for place, others in enumerate(alike.tolist()):
        for other in kept:
            if others[other] >= _COPY:
                break
        else:
            kept.append(place)
            if len(kept) == FIRST:
                break
    return kept


def signals(
    query: NDArray[np.float32], rows: Vectors, background: Background, *, looked_at: int, searched: int
) -> Signals:
    """Compute the signals of a query and of some rows that it found; all cosines are around the background's mean.

    A search waits for it, and each of numpy's functions takes microseconds: so all cosines are products of one block of rows.

    Args:
        query: ``(d,)`` unit vector.
        rows: ``(m, d)`` unit rows, at least one.
        background: of the same space.
        looked_at: so many of the rows are the best that the query found, best first; those among them that are no copies tell
            of the query.
        searched: how many rows could have been found.
    """
    start = COMPARED + 1  # the background's first, the query, then the rows
    block = np.empty((start + len(rows), len(query)), dtype=np.float32)  # (t + 1 + m, d)
    block[COMPARED], block[start:] = query, rows
    background.move(block[COMPARED:])
    near = background.nearest(block[COMPARED])
    block[:COMPARED] = near.vectors
    best = near.scores.tolist()
    cosines = block @ block[: start + looked_at].T  # (t + 1 + m, t + 1 + l)
    first = first_distinct(cosines[start : start + looked_at, start:])
    heads = len(first)
    own = slice(0, heads) if first[-1] == heads - 1 else first  # a slice, as mostly: it takes no copy
    of_rows = np.empty((len(rows), len(OF_ROW)))  # (m, 3)
    of_rows[:, 0] = cosines[start:, COMPARED]
    like_first = np.add.reduce(cosines[start:, start:][:, own], axis=1)  # (m,)
    of_rows[:, 1] = like_first / heads
    of_rows[:, 2] = np.add.reduce(cosines[start:, :COMPARED], axis=1) / COMPARED
    among_tops = (float(np.add.reduce(cosines[:COMPARED, :COMPARED], axis=None)) / COMPARED - 1) / (
        COMPARED - 1
    )
    # One of the first is not compared with itself.
    of_rows[own, 1] = (like_first[own] - 1) / (heads - 1) if heads > 1 else among_tops
    means = np.add.reduce(of_rows[own], axis=0) / heads
    score, among_heads, to_tops = means.tolist()
    five = sum(best[:COMPARED]) / COMPARED
    of_query = np.array([
        score,
        score - best[0],
        score - five,
        score - sum(best) / len(best),
        among_heads,
        among_tops,
        to_tops,
        five / near.spread,
        math.log10(max(searched, 1)),
    ])  # fmt: skip
    return Signals(query=of_query, rows=of_rows - means)

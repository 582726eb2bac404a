"""Compute the signals that tell whether hits are what was asked: no one of them says it alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection.relevance.background import Background

__all__ = ["FEWEST", "FIRST", "LOOKED_AT", "OF_QUERY", "OF_ROW", "Signals", "first_distinct", "signals"]

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
    "share of the background nearer to the first than the query",
    "rows searched",
)
"""What is told of a query, in the order of a calibration's weights."""

OF_ROW = (
    "score",
    "how alike it is to the first",
    "how alike it is to the background's first",
    "share nearer to it",
)
"""What is told of a row besides, each less the mean of the first."""

_TOP = 5
_COPY = 0.9995
_LEAST = 1e-3
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What was found of one query.

    Attributes:
        query: ``(10,)`` float64, as `OF_QUERY` names them.
        rows: ``(m, 4)`` float64, as `OF_ROW` names them.
    """

    query: NDArray[np.float64]
    rows: NDArray[np.float64]


def first_distinct(alike: NDArray[np.float32]) -> list[int]:
    """Return which of some rows, best first, are the first `FIRST` that are no copies of an earlier one.

    Args:
        alike: ``(m, m)`` their cosines.
    """
    kept: list[int] = []
    for place, others in enumerate(alike.tolist()):
        if all(others[other] < _COPY for other in kept):
            kept.append(place)
        if len(kept) == FIRST:
            break
    return kept


def signals(
    query: NDArray[np.float32], rows: Vectors, background: Background, *, looked_at: int, searched: int
) -> Signals:
    """Compute the signals of a query and of some rows that it found.

    All products of vectors are computed at once, and cosines around the background's mean come from these: a search waits for it.

    Args:
        query: ``(d,)`` unit vector.
        rows: ``(m, d)`` unit rows, at least one.
        background: of the same space.
        looked_at: so many of the rows are the best that the query found, best first; those among them that are no copies tell
            of the query.
        searched: how many rows could have been found.
    """
    near = background.nearest(query)
    tops = min(_TOP, len(near.places))
    block = np.concatenate(
        [query[np.newaxis], background.mean[np.newaxis], background.vectors[near.places[:tops]], rows]
    )  # (2 + t + m, d)
    compared = block[2:]  # (t + m, d)
    products = compared @ block[: 2 + tops + looked_at].T  # (t + m, 2 + t + l)
    first = first_distinct(products[tops : tops + looked_at, 2 + tops :])
    heads = len(first)
    scores = products[tops:, 0]  # (m,)
    moved = background.mean_square - products[:, 1]  # (t + m,)
    squares = np.einsum("nd,nd->n", compared, compared) + moved - products[:, 1]
    lengths = np.sqrt(np.maximum(squares, _TINY))  # (t + m,) of what is left without the mean
    anchors = [*range(tops), *(tops + place for place in first)]
    alike = products[:, [2 + place for place in anchors]] - products[:, 1:2]  # (t + m, t + f)
    alike += moved[anchors]
    alike /= lengths[:, np.newaxis]
    alike /= lengths[anchors]
    of_rows = np.empty((len(rows), len(OF_ROW)))  # (m, 4)
    of_rows[:, 0] = scores
    like_heads, like_tops = alike[tops:, tops:].sum(axis=1), alike[:, :tops].sum(axis=1) / tops
    among_tops = (float(like_tops[:tops].sum()) - 1) / max(tops - 1, 1)
    # One of the first is not compared with itself.
    like_heads[first] -= 1
    like_heads /= heads
    like_heads[first] = like_heads[first] * (heads / (heads - 1)) if heads > 1 else among_tops
    of_rows[:, 1], of_rows[:, 2] = like_heads, like_tops[tops:]
    of_rows[:, 3] = np.log(background.nearer(rows, scores - products[tops:, 1]) + _LEAST)
    means = of_rows[first].sum(axis=0) / heads
    score, among_heads, to_tops, nearer = means.tolist()
    best = near.scores.tolist()
    five = sum(best[:tops]) / tops
    of_query = np.array([
        score,
        score - best[0],
        score - five,
        score - sum(best) / len(best),
        among_heads,
        among_tops,
        to_tops,
        (five - near.mean) / near.spread,
        nearer,
        math.log10(max(searched, 1)),
    ])  # fmt: skip
    return Signals(query=of_query, rows=of_rows - means)

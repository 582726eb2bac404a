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


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What was found of one query.

    Attributes:
        query: ``(10,)`` float64, as `OF_QUERY` names them.
        rows: ``(m, 4)`` float64, as `OF_ROW` names them.
    """

    query: NDArray[np.float64]
    rows: NDArray[np.float64]


def first_distinct(rows: Vectors) -> NDArray[np.int64]:
    """Return which of some rows ``(m, d)``, best first, are the first `FIRST` that are no copies of an earlier one."""
    kept: list[int] = []
    for place, alike in enumerate((rows @ rows.T).tolist()):
        if all(alike[other] < _COPY for other in kept):
            kept.append(place)
        if len(kept) == FIRST:
            break
    return np.array(kept, dtype=np.int64)


def signals(
    query: NDArray[np.float32],
    rows: Vectors,
    first: NDArray[np.int64],
    background: Background,
    *,
    searched: int,
) -> Signals:
    """Compute the signals of a query and of some rows that it found.

    Args:
        query: ``(d,)`` unit vector.
        rows: ``(m, d)`` unit rows.
        first: which of them are the best that the query found, as `first_distinct` gives them; at least one.
        background: of the same space.
        searched: how many rows could have been found.
    """
    scores = rows @ query  # (m,)
    near = background.nearest(query)
    heads, tops = len(first), min(_TOP, len(near.places))
    all_of_them = background.centred(
        np.concatenate([rows[first], background.vectors[near.places[:tops]], rows])
    )
    alike = all_of_them @ all_of_them[: heads + tops].T  # (f + 5 + m, f + 5)
    among_heads, among_tops = (
        _mean_off_diagonal(alike[part, part]) for part in (slice(heads), slice(heads, heads + tops))
    )
    if heads == 1:
        among_heads = among_tops
    own = alike[heads + tops :]  # (m, f + 5)
    like_heads = own[:, :heads].sum(axis=1, dtype=np.float64)  # (m,)
    like_heads /= heads
    # One of the first is not compared with itself.
    like_heads[first] = (like_heads[first] * heads - 1) / (heads - 1) if heads > 1 else among_tops
    like_tops = own[:, heads:].sum(axis=1, dtype=np.float64) / tops  # (m,)
    nearer = np.log(background.nearer(rows, scores) + _LEAST)  # (m,)
    of_rows = np.stack([scores, like_heads, like_tops, nearer], axis=1)  # (m, 4)
    means = of_rows[first].sum(axis=0) / heads
    best = near.scores.astype(np.float64)
    five = float(best[:tops].sum()) / tops
    score = float(means[0])
    of_query = np.array([
        score,
        score - best[0],
        score - five,
        score - float(best.sum()) / len(best),
        among_heads,
        among_tops,
        means[2],
        (five - near.mean) / near.spread,
        means[3],
        math.log10(max(searched, 1)),
    ])  # fmt: skip
    return Signals(query=of_query, rows=of_rows - means)


def _mean_off_diagonal(square: NDArray[np.float32]) -> float:
    size = len(square)
    return (float(square.sum()) - float(np.einsum("ii->", square))) / max(size * (size - 1), 1)

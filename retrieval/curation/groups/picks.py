"""Choose few rows that stand for many: the most telling by facility location, the most diverse by k-centre."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors

__all__ = ["most_diverse", "most_telling"]


def most_telling(rows: Vectors, number: int) -> NDArray[np.int64]:
    """Choose rows so that each row has a chosen one near it, by facility location.

    Each choice is the row that raises the sum of all rows' best cosines most, which reaches at least 63 % of the best sum.

    Args:
        rows: ``(n, d)`` float32 of length 1; ``n²`` cosines are kept.
        number: how many to choose; all where there are fewer.
    Returns:
        places, the most telling one first; ties by place.
    """
    cosines = rows @ rows.T  # (n, n)
    best = np.full(len(rows), -1.0, dtype=np.float32)
    chosen: list[int] = []
    for _ in range(min(number, len(rows))):
        gains = np.maximum(cosines - best, 0).sum(axis=1, dtype=np.float64)  # (n,)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        np.maximum(best, cosines[chosen[-1]], out=best)
    return np.array(chosen, dtype=np.int64)


def most_diverse(rows: Vectors, number: int) -> NDArray[np.int64]:
    """Choose rows that are far from each other, by greedy k-centre: no row is more than twice as far as need be.

    Args:
        rows: ``(n, d)`` float32 of length 1.
        number: how many to choose; all where there are fewer.
    Returns:
        places. The first is the row nearest to the mean, each other one the farthest from those before; ties by place.
    """
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    chosen = [int((rows @ rows.mean(axis=0)).argmax())]
    nearest = rows @ rows[chosen[0]]  # (n,)
    nearest[chosen] = np.inf
    while len(chosen) < min(number, len(rows)):
        chosen.append(int(nearest.argmin()))
        np.maximum(nearest, rows @ rows[chosen[-1]], out=nearest)
        nearest[chosen] = np.inf
    return np.array(chosen, dtype=np.int64)

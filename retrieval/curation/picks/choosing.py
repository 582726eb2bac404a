"""Choose few rows that stand for many: the most telling by facility location, the most diverse by k-centre."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors


def most_telling(rows: Vectors, number: int) -> NDArray[np.int64]:
    """Choose rows so that each row has a chosen one near it, by facility location.

    Each choice is the row that raises the sum of all rows' best cosines most, which reaches at least 63 % of the best sum.
    What a row would raise only falls, so it is counted again only for rows that could still be the next (Minoux 1978).

    Args:
        rows: ``(n, d)`` float32 of length 1; ``n²`` cosines are kept.
        number: how many to choose; all where there are fewer.
    Returns:
        places, the most telling one first.
    """
    cosines = rows @ rows.T  # (n, n)
    best = np.full(len(rows), -1.0, dtype=np.float32)
    gains = (cosines - best).sum(axis=1, dtype=np.float64)  # (n,), never too small
    counted = np.zeros(len(rows), dtype=np.int64)  # choices that a gain was counted after
    chosen: list[int] = []
    while len(chosen) < min(number, len(rows)):
        place = int(gains.argmax())
        if counted[place] < len(chosen):
            gains[place] = np.maximum(cosines[place] - best, 0).sum(dtype=np.float64)
            counted[place] = len(chosen)
            continue
        chosen.append(place)
        np.maximum(best, cosines[place], out=best)
        gains[place] = -np.inf
    return np.array(chosen, dtype=np.int64)


def most_diverse(rows: Vectors, number: int) -> NDArray[np.int64]:
    """Choose rows that are far from each other, by greedy k-centre (Gonzalez 1985).

    No row is more than twice as far from a chosen one as with the best choice.

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

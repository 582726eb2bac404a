"""Order the rows of a map: first a few that are spread over all of it, then the others place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERVIEW: Final = 4_096
"""Rows that are spread over the map, at most: what is seen from afar."""

_LEVELS: Final = 8
_BITS: Final = 16


def drawing_order(positions: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the order in which rows are drawn, a permutation.

    The overview takes a row of each cell of ever finer grids. The others follow along a Morton curve, so those that are near
    on the map are near in the order.

    Args:
        positions: ``(n, 2)`` from 0 to 1.
    """
    left = np.random.default_rng(0).permutation(len(positions))
    chosen: list[NDArray[np.int64]] = []
    count = 0
    for level in range(_LEVELS):
        cells = _cells(positions, 2**level)
        taken = cells[np.concatenate(chosen)] if chosen else np.empty(0, dtype=np.int64)
        free = left[~np.isin(cells[left], taken)]
        _, first = np.unique(cells[free], return_index=True)
        new = free[np.sort(first)][: OVERVIEW - count]
        chosen.append(new)
        count += len(new)
        left = left[~np.isin(left, new)]
        if count == OVERVIEW or not len(left):
            break
    rest = left[np.argsort(_morton(positions[left]), kind="stable")]
    return np.concatenate([*chosen, rest]).astype(np.int64)


def _cells(positions: NDArray[np.float32], across: int) -> NDArray[np.int64]:
    """Return the cell of each row in a grid, ``(n,)``."""
    steps = np.minimum((positions * across).astype(np.int64), across - 1)
    return np.asarray(steps[:, 1] * across + steps[:, 0], dtype=np.int64)


def _morton(positions: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return each row's place along a Morton curve: the bits of its two coordinates in turn."""
    steps = np.minimum((positions * 2**_BITS).astype(np.int64), 2**_BITS - 1)
    code = np.zeros(len(steps), dtype=np.int64)
    for bit in range(_BITS):
        code |= (steps[:, 0] >> bit & 1) << 2 * bit
        code |= (steps[:, 1] >> bit & 1) << 2 * bit + 1
    return code

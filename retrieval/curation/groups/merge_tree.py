"""Merge small clusters into larger ones, and say how shortly each number of groups describes the rows.

The pair whose union adds least to the squared distances within clusters is merged first (Ward 1963). Each number of groups has
a coding length: bits for each row's place within its group, up to a tolerance, for naming its group, and for the groups' centres.
It follows Ma et al. 2007 and CPP (2306.05272), with one spherical spread for all groups: a covariance for each would need more
rows than small groups have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOLERANCE: Final = 0.3
"""Share of the rows' variance that is not worth describing: finer differences make no group of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Two clusters that become one.

    Attributes:
        first, second: their numbers. The clusters that there were first have 0 to n - 1, and the one made by merge m has n + m.
        cost: what the union adds to the sum of squared distances.
        size: rows of the union.
    """

    first: int
    second: int
    cost: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeTree:
    """All merges of ``n`` clusters, cheapest first.

    Attributes:
        sizes: ``(n,)`` rows of each cluster.
        within: sum of squared distances to the centres before any merge.
        merges: the ``n - 1`` merges.
    """

    sizes: NDArray[np.int64]
    within: float
    merges: tuple[Merge, ...]

    def at(self, number: int) -> NDArray[np.int64]:
        """Return which of ``number`` groups each cluster belongs to, ``(n,)``; groups are numbered as they appear."""
        count = len(self.sizes)
        belongs = np.arange(count)
        for made, merge in enumerate(self.merges[: count - number], start=count):
            belongs[(belongs == merge.first) | (belongs == merge.second)] = made
        _, first, inverse = np.unique(belongs, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[inverse]

    def coding_lengths(self, dim: int) -> NDArray[np.float64]:
        """Return the coding length of 1, 2 … n groups, in nats for each row, ``(n,)``.

        Args:
            dim: of the rows, which have length 1.
        """
        rows = float(self.sizes.sum())
        costs = np.array([0.0, *(merge.cost for merge in self.merges)])
        within = (self.within + np.cumsum(costs)) / rows  # (n,), of n groups first
        numbers = np.arange(len(self.sizes), 0, -1)
        places = rows * dim / 2 * np.log(_TOLERANCE + np.maximum(within, 0))
        centres = numbers * dim / 2 * np.log(rows)
        lengths: NDArray[np.float64] = (places + centres + self._naming())[::-1] / rows
        return lengths

    def _naming(self) -> NDArray[np.float64]:
        """Return what it takes to say which group each row is of, before each merge and after the last, ``(n,)``."""
        rows = float(self.sizes.sum())
        sizes = dict(enumerate(self.sizes.tolist()))
        now = sum(_bits(size, rows) for size in sizes.values())
        found = [now]
        for made, merge in enumerate(self.merges, start=len(self.sizes)):
            now -= _bits(sizes[merge.first], rows) + _bits(sizes[merge.second], rows)
            now += _bits(merge.size, rows)
            sizes[made] = merge.size
            found.append(now)
        return np.array(found)


def _bits(size: float, rows: float) -> float:
    return float(size * np.log(rows / size))


def merge_tree(sums: NDArray[np.float64], sizes: NDArray[np.int64]) -> MergeTree:
    """Merge clusters of unit rows until one is left.

    Args:
        sums: ``(n, d)`` the sum of each cluster's rows, ``n >= 1``; left unchanged.
        sizes: ``(n,)`` its rows, at least one each.
    """
    count = len(sizes)
    means = sums / sizes[:, None]  # (n, d)
    weights = sizes.astype(np.float64)
    within = float(weights.sum() - np.einsum("nd,nd->", sums, means))
    squares = np.einsum("nd,nd->n", means, means)
    gaps = np.maximum(squares[:, None] + squares - 2 * means @ means.T, 0)
    costs = gaps * (weights[:, None] * weights) / (weights[:, None] + weights)  # (n, n)
    np.fill_diagonal(costs, np.inf)
    names = list(range(count))
    merges = []
    for made in range(count, 2 * count - 1):
        first, second = sorted(map(int, np.unravel_index(int(costs.argmin()), costs.shape)))
        cost = float(costs[first, second])
        union = weights[first] + weights[second]
        means[first] = (weights[first] * means[first] + weights[second] * means[second]) / union
        weights[first] = union
        merges.append(Merge(first=names[first], second=names[second], cost=cost, size=int(union)))
        names[first] = made
        costs[second] = costs[:, second] = np.inf
        others = np.isfinite(costs[first])
        others[second] = False
        again = ((means - means[first]) ** 2).sum(axis=1) * weights * union / (weights + union)
        costs[first, others] = costs[others, first] = again[others]
    return MergeTree(sizes=sizes.astype(np.int64), within=within, merges=tuple(merges))

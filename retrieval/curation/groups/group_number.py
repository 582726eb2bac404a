"""Choose the number of groups: one that describes the rows shortly, and whose groups lie apart.

The coding length alone grows with the number of rows: of many it finds parts of groups, of few it misses groups. The silhouette
(Rousseeuw 1987) does not, but is flat where groups touch. So each nat that a number takes more for a row must be won by groups
that lie as many times farther apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.curation.groups.merge_tree import MergeTree

_SAMPLE: Final = 4_096
_DEAREST: Final = 2.0
"""Nats a row above the shortest: beyond, no number is tried."""

_LEAST: Final = 1e-3


def group_number(tree: MergeTree, rows: Vectors, labels: NDArray[np.int64]) -> int:
    """Return the best number of groups of a tree.

    Args:
        tree: of clusters.
        rows: ``(n, d)`` unit rows, or a sample of them.
        labels: ``(n,)`` the cluster of each.
    """
    lengths = tree.coding_lengths(rows.shape[1])  # (c,), of 1 to c groups
    shortest = int(lengths.argmin()) + 1
    if shortest == 1:  # one group lies apart from nothing
        return 1
    dearer = lengths - lengths.min()
    tried = [number for number in range(2, len(lengths) + 1) if dearer[number - 1] <= _DEAREST]
    some = np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)
    scores = []
    for number in tried:
        groups = tree.at(number)[labels]
        apart = float(np.median(silhouettes(rows, groups, number)[some]))
        scores.append(np.log(max(apart, _LEAST)) - dearer[number - 1])
    return tried[int(np.argmax(scores))]


def silhouettes(rows: Vectors, groups: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    """Return of each row how much nearer its own group's mean is than the nearest other one, ``(n,)``, -1 to 1; 0 for a row alone.

    Args:
        rows: ``(n, d)`` of length 1.
        groups: ``(n,)`` 0 to ``number - 1``, each at least once.
        number: of groups, at least 2.
    """
    sizes = np.bincount(groups, minlength=number).astype(np.float64)
    means = np.zeros((number, rows.shape[1]))
    np.add.at(means, groups, rows)
    means /= sizes[:, np.newaxis]
    gaps = np.sqrt(np.maximum(1 + (means**2).sum(axis=1) - 2 * (rows @ means.T), 0))  # (n, g)
    each = np.arange(len(rows))
    size = sizes[groups]
    own = gaps[each, groups] * size / np.maximum(size - 1, 1)  # from the mean of the others of its group
    gaps[each, groups] = np.inf
    other = gaps.min(axis=1)
    found: NDArray[np.float64] = np.where(
        size > 1, (other - own) / np.maximum(np.maximum(own, other), 1e-12), 0.0
    )
    return found

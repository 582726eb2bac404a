"""Divide vectors into groups: many small clusters by k-means, merged into groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.curation.groups.group_number import group_number
from retrieval.curation.groups.merge_tree import MergeTree, merge_tree
from retrieval.curation.groups.principal_axes import PrincipalAxes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from indexes.vectors import Vectors

MOST_GROUPS: Final = 1_000

_DIM: Final = 48
"""Principal axes along which rows are compared: the others tell single images apart rather than groups."""

_SAMPLE: Final = 20_000
_CLUSTERS: Final = 256
_LEAST: Final = 4
"""Rows of a small cluster, on average, at least."""

_PASSES: Final = 15
_BLOCK: Final = 16_384
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Rows in groups, the largest group first.

    Attributes:
        labels: ``(n,)`` the group of each row.
        means: ``(g, d)`` float32, the mean of each group's rows, not of length 1.
        tree: how the groups would be merged.
    """

    labels: NDArray[np.int64]
    means: Vectors
    tree: MergeTree


def partition(
    read: Callable[[NDArray[np.int64]], Vectors],
    rows: int,
    *,
    number: int | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Partition:
    """Divide rows into groups.

    Groups are found among at most 20,000 rows; then each row joins the nearest one.

    Args:
        read: gives some rows by their places, ``(m, d)`` float32 of length 1.
        rows: how many there are, at least one.
        number: of groups, 1 to `rows`; None to find it. Fewer are found where rows are equal.
        told: is called with how many rows have joined their group.
    """
    numbers = np.random.default_rng(0)
    chosen = np.sort(numbers.permutation(rows)[:_SAMPLE])
    sample = read(chosen)
    axes = PrincipalAxes(sample, _DIM)
    small = _unit(axes.along(sample))  # (s, a); a row that is the mean itself stays zero
    centres = _merged(small, number, numbers)
    labels = np.empty(rows, dtype=np.int64)
    sums = np.zeros((len(centres), sample.shape[1]))
    along = np.zeros((len(centres), small.shape[1]))
    for places in _blocks(rows):
        block = read(places)
        near = _unit(axes.along(block))
        labels[places] = own = _nearest(near, centres)
        sums += _summed(block, own, len(centres))
        along += _summed(near, own, len(centres))
        told(int(places[-1]) + 1)
    sizes = np.bincount(labels, minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    renamed = np.zeros(len(centres), dtype=np.int64)
    renamed[order] = np.arange(len(order))
    sizes = sizes[order]
    return Partition(
        labels=renamed[labels],
        means=np.asarray(sums[order] / sizes[:, None], dtype=np.float32),
        tree=merge_tree(along[order], sizes),
    )


def _merged(rows: Vectors, number: int | None, numbers: np.random.Generator) -> Vectors:
    """Return the centres of the groups of a sample."""
    size = len(rows)
    wanted = (
        min(_CLUSTERS, max(1, size // _LEAST))
        if number is None
        else min(size, max(2 * number, min(_CLUSTERS, size // _LEAST)))
    )
    start = rows[np.sort(numbers.permutation(size)[:wanted])]
    labels = _settled(rows, start)[1]
    _, labels = np.unique(labels, return_inverse=True)
    count = int(labels.max()) + 1
    tree = merge_tree(_summed(rows, labels, count), np.bincount(labels, minlength=count))
    groups = tree.at(min(number or group_number(tree, rows, labels), count))[labels]
    return _settled(rows, _unit(_summed(rows, groups, int(groups.max()) + 1)))[0]


def _settled(rows: Vectors, centres: Vectors) -> tuple[Vectors, NDArray[np.int64]]:
    """Move centres to the means of the rows nearest to them, by spherical k-means; a centre without rows stays."""
    for _ in range(_PASSES):
        labels = _nearest(rows, centres)
        sums = _summed(rows, labels, len(centres))
        empty = ~sums.any(axis=1)
        sums[empty] = centres[empty]
        centres = _unit(sums)
    return centres, _nearest(rows, centres)


def _nearest(rows: Vectors, centres: Vectors) -> NDArray[np.int64]:
    found = np.empty(len(rows), dtype=np.int64)
    for places in _blocks(len(rows)):
        found[places] = (rows[places] @ centres.T).argmax(axis=1)
    return found


def _summed(rows: Vectors, labels: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the sum of the rows with each label, ``(count, d)``."""
    order = np.argsort(labels, kind="stable")
    sums = np.zeros((count, rows.shape[1]))
    there, first = np.unique(labels[order], return_index=True)
    sums[there] = np.add.reduceat(rows[order].astype(np.float64), first, axis=0)
    return sums


def _unit(rows: NDArray[Any]) -> Vectors:
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return np.asarray(rows / np.maximum(lengths, _TINY)[:, None], dtype=np.float32)


def _blocks(count: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, count))

"""How many groups there are, whether they are of few rows or of many."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.curation.groups.group_number import group_number, silhouettes
from retrieval.curation.groups.merge_tree import MergeTree, merge_tree


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def tree_of(rows: NDArray[np.float32], labels: NDArray[np.int64]) -> MergeTree:
    sums = np.array([rows[labels == label].sum(axis=0) for label in range(labels.max() + 1)])
    return merge_tree(sums.astype(np.float64), np.bincount(labels))


def parts(each: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return eight kinds of rows, each of three parts that lie near each other, and the part of each row."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(rng.standard_normal((8, 24)), 3, axis=0)
    centres = kinds + 0.3 * rng.standard_normal(kinds.shape)
    labels = np.repeat(np.arange(24), each)
    return unit(centres[labels] + 0.5 * rng.standard_normal((len(labels), 24))), labels


@pytest.mark.parametrize("each", [4, 100])
def test_parts_of_groups_are_no_groups_however_many_rows_they_have(each: int) -> None:
    rows, labels = parts(each)
    tree = tree_of(rows, labels)

    assert group_number(tree, rows, labels) == 8


def test_rows_that_are_all_alike_are_one_group() -> None:
    rows = unit(np.ones((40, 3)) + 1e-4 * np.random.default_rng(0).standard_normal((40, 3)))
    labels = np.repeat(np.arange(4), 10)

    assert group_number(tree_of(rows, labels), rows, labels) == 1


def test_a_silhouette_compares_the_mean_of_the_others_with_the_nearest_mean() -> None:
    rng = np.random.default_rng(0)
    rows, groups = unit(rng.standard_normal((30, 5))), np.repeat([0, 1, 2], 10)

    found = silhouettes(rows, groups, 3)

    others = rows[:10][1:].mean(axis=0)
    own = np.linalg.norm(rows[0] - others)
    other = min(np.linalg.norm(rows[0] - rows[groups == group].mean(axis=0)) for group in (1, 2))
    np.testing.assert_allclose(found[0], (other - own) / max(own, other), rtol=1e-4)


def test_a_row_alone_lies_in_the_middle() -> None:
    rows = np.eye(4, dtype=np.float32)

    assert silhouettes(rows, np.array([0, 1, 1, 1]), 2)[0] == 0

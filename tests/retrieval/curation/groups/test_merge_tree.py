"""Merging clusters: the cheapest pair first, every number of groups, and the number that a code would choose."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.curation.groups.merge_tree import merge_tree


def within(rows: np.ndarray, labels: np.ndarray) -> float:
    """Return the sum of squared distances to the means, the slow way."""
    return float(
        sum(((rows[labels == one] - rows[labels == one].mean(axis=0)) ** 2).sum() for one in set(labels))
    )


@pytest.fixture
def rows() -> np.ndarray:
    found = np.random.default_rng(3).standard_normal((12, 5))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_each_merge_is_the_cheapest_of_all_pairs(rows: np.ndarray) -> None:
    tree = merge_tree(rows, np.ones(12, dtype=np.int64))

    total = 0.0
    for number in range(11, 0, -1):
        before, after = tree.at(number + 1), tree.at(number)
        total += tree.merges[11 - number].cost
        best = min(
            within(rows, np.where(before == other, one, before))
            for one in range(number + 1)
            for other in range(one)
        )

        assert within(rows, after) == pytest.approx(best)
        assert total == pytest.approx(best)
        assert sorted(set(after)) == list(range(number))


def test_rows_of_a_cluster_weigh_together(rows: np.ndarray) -> None:
    sums = np.stack([rows[:7].sum(axis=0), rows[7:9].sum(axis=0), rows[9:].sum(axis=0)])
    tree = merge_tree(sums, np.array([7, 2, 3]))

    assert tree.within == pytest.approx(within(rows, np.repeat([0, 1, 2], [7, 2, 3])))
    assert tree.within + sum(merge.cost for merge in tree.merges) == pytest.approx(within(rows, np.zeros(12)))
    assert tree.merges[-1].size == 12


@pytest.mark.parametrize("number", [1, 3, 7])
def test_the_shortest_code_has_as_many_groups_as_were_made(number: int) -> None:
    numbers = np.random.default_rng(1)
    centres = np.linalg.qr(numbers.standard_normal((16, 16)))[0][:number]
    rows = np.repeat(centres, 40, axis=0) + 0.08 * numbers.standard_normal((40 * number, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    small = rows.reshape(-1, 5, 16).sum(axis=1)

    assert merge_tree(small, np.full(len(small), 5)).coding_lengths(16).argmin() + 1 == number


def test_one_cluster_needs_no_merge() -> None:
    tree = merge_tree(np.ones((1, 3)), np.array([3]))

    assert tree.at(1).tolist() == [0]
    assert tree.coding_lengths(3).argmin() == 0

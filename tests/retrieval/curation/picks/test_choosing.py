"""Few rows for many: the choices are what trying all would choose, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.curation.picks.choosing import most_diverse, most_telling


@pytest.fixture
def rows() -> np.ndarray:
    found = np.random.default_rng(5).standard_normal((30, 6)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_each_telling_row_raises_the_sum_of_best_cosines_most(rows: np.ndarray) -> None:
    chosen = most_telling(rows, 4).tolist()

    for count in range(4):
        sums = [(rows @ rows[[*chosen[:count], one]].T).max(axis=1).sum() for one in range(30)]

        assert sums[chosen[count]] == pytest.approx(max(sums), abs=1e-4)


def test_each_diverse_row_is_the_farthest_from_those_before(rows: np.ndarray) -> None:
    chosen = most_diverse(rows, 5).tolist()

    assert chosen[0] == int((rows @ rows.mean(axis=0)).argmax())
    for count in range(1, 5):
        best = (rows @ rows[chosen[:count]].T).max(axis=1)
        best[chosen[:count]] = 2

        assert best[chosen[count]] == pytest.approx(best.min())


@pytest.mark.parametrize("choose", [most_diverse, most_telling])
def test_no_row_is_chosen_twice(choose, rows: np.ndarray) -> None:
    same = np.repeat(rows[:2], 3, axis=0)

    assert sorted(choose(same, 10).tolist()) == list(range(6))
    assert choose(rows[:0], 3).tolist() == []

"""The order of rows on a map: a permutation, spread out first, then place by place."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.curation.map import drawing_order as module
from retrieval.curation.map.drawing_order import drawing_order


@pytest.fixture
def positions() -> np.ndarray:
    return np.random.default_rng(0).random((3_000, 2)).astype(np.float32)


def test_every_row_comes_once(positions: np.ndarray) -> None:
    assert np.array_equal(np.sort(drawing_order(positions)), np.arange(3_000))
    assert drawing_order(positions[:0]).shape == (0,)
    assert sorted(drawing_order(np.zeros((5, 2), dtype=np.float32))) == [0, 1, 2, 3, 4]


def test_the_first_ones_are_spread_over_the_map(positions: np.ndarray) -> None:
    first = positions[drawing_order(positions)[:64]]

    cells = {tuple(cell) for cell in (first * 4).astype(int).tolist()}
    assert len(cells) == 16


def test_behind_the_overview_near_rows_follow_each_other(
    positions: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OVERVIEW", 200)

    rest = positions[drawing_order(positions)[200:]]

    steps = np.linalg.norm(np.diff(rest, axis=0), axis=1)
    assert np.median(steps) < 0.05  # usually 0.02; in any order it would be 0.5

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.vectors import micro_ap
from retrieval.evaluation.copy_detection.curves import Ranked, intervals, threshold_at


def ranked(query, scores, correct, positives) -> Ranked:
    return Ranked(
        query=np.array(query, np.int64),
        scores=np.array(scores, np.float64),
        correct=np.array(correct, np.bool_),
        positives=np.array(positives, np.int64),
    )


@given(st.integers(0, 2**32 - 1))
def test_micro_ap_is_that_of_the_plain_measure(seed: int) -> None:
    rng = np.random.default_rng(seed)
    correct = rng.random(30) < 0.3
    scores = rng.integers(0, 12, 30) / 10  # with ties
    positives = np.bincount(np.arange(30) % 10, correct, minlength=10).astype(int) + (rng.random(10) < 0.5)
    if not positives.sum():
        return
    found, _ = intervals(ranked(np.arange(30) % 10, scores, correct, positives), precisions=(), resampled=5)

    assert found.value == pytest.approx(micro_ap(correct, scores, positives=int(positives.sum())), abs=1e-4)
    assert 0 <= found.low <= found.high <= 1


def test_recall_at_a_precision_is_the_greatest_of_any_threshold() -> None:
    some = ranked(range(10), np.arange(10, 0, -1), [1, 1, 0, 1, 1, 1, 1, 1, 1, 0], [1] * 9 + [0])
    _, recall = intervals(some, precisions=(0.8, 0.9, 0.99, 1.0))

    assert {precision: one.value for precision, one in recall.items()} == {
        0.8: round(8 / 9, 4),
        0.9: round(2 / 9, 4),
        0.99: round(2 / 9, 4),
        1.0: round(2 / 9, 4),
    }
    assert (threshold_at(some, 0.8), threshold_at(some, 0.9)) == (2.0, 9.0)


def test_ties_are_one_step() -> None:
    some = ranked(range(4), [1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0])
    found, recall = intervals(some, precisions=(0.9, 0.5))

    assert found.value == pytest.approx(0.5 / 3 + 0.5 * 2 / 4, abs=1e-4)
    assert (recall[0.9].value, recall[0.5].value) == (0.0, 1.0)
    assert threshold_at(some, 0.9) is None


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        right = rng.random(80) < 0.7
        _, recall = intervals(
            ranked(range(80), np.ones(80), right, np.ones(80)), precisions=(0.0,), resampled=100
        )
        held += recall[0.0].low <= 0.7 <= recall[0.0].high

    assert 51 <= held <= 60  # usually 57


def test_without_any_hit_nothing_is_found() -> None:
    found, recall = intervals(ranked([], [], [], [1, 0]), precisions=(0.9,))

    assert (found.value, recall[0.9].value, threshold_at(ranked([], [], [], [1]), 0.9)) == (0.0, 0.0, None)

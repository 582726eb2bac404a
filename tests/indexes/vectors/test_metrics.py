from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from indexes.engine.scan import knn
from indexes.errors import OptionError, ShapeError
from indexes.vectors import metrics
from tests.strategies import unit


def test_recall_is_the_share_of_true_neighbours_found_in_any_order():
    true = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = np.array([[4, 9, 1, 10], [8, 7, 6, 5]])

    np.testing.assert_allclose(metrics.recall_of_each(found, true), [0.5, 1.0])
    assert metrics.recall_at_k(found, true) == 0.75


def test_recall_counts_no_padding_and_looks_at_the_first_k_only():
    true = np.array([[1, -1], [-1, -1]])
    found = np.array([[-1, -1, 1], [-1, -1, -1]])

    assert metrics.recall_at_k(found, true) == 0.5  # the second query has nothing to find
    assert metrics.recall_at_k(found[:, ::-1], true) == 1.0


@given(
    ids=arrays(np.int64, (7, 5), elements=st.integers(-1, 9)),
    true=arrays(np.int64, (7, 4), elements=st.integers(0, 9)),
)
def test_recall_equals_sets(ids, true):
    expected = [
        len(set(t) & set(f)) / len(t) for f, t in zip(ids, true, strict=True) if len(set(t)) == len(t)
    ]
    unique = np.array([len(set(t)) == len(t) for t in true])

    np.testing.assert_allclose(metrics.recall_of_each(ids, true)[unique], expected)


def test_map_divides_by_k():
    relevant = np.array([[True, False, True, False], [False, False, False, False]])

    assert metrics.map_at_k(relevant, k=4) == pytest.approx((1 + 2 / 3) / 4 / 2)
    assert metrics.map_at_k(relevant, k=1) == 0.5
    assert metrics.map_at_k(np.ones((3, 10), dtype=np.bool_), k=10) == 1.0


@pytest.mark.parametrize("k", [0, 5])
def test_map_refuses_a_k_without_hits(k):
    with pytest.raises(OptionError, match="expected 1 to 4"):
        metrics.map_at_k(np.ones((2, 4), dtype=np.bool_), k=k)


def test_micro_ap_by_hand():
    correct, scores = np.array([True, False, True]), np.array([0.9, 0.8, 0.7])

    assert metrics.micro_ap(correct, scores, positives=2) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.micro_ap(correct, scores, positives=4) == pytest.approx((1 + 2 / 3) / 4)


@given(
    correct=arrays(np.bool_, 12),
    scores=arrays(np.float64, 12, elements=st.sampled_from([0.1, 0.2, 0.5, 0.9])),
    seed=st.integers(0, 99),
)
def test_micro_ap_does_not_depend_on_the_order_of_ties(correct, scores, seed):
    order = np.random.default_rng(seed).permutation(12)
    positives = max(1, int(correct.sum()))

    assert metrics.micro_ap(correct, scores, positives=positives) == pytest.approx(
        metrics.micro_ap(correct[order], scores[order], positives=positives)
    )


def test_micro_ap_of_a_perfect_ranking_is_one():
    assert metrics.micro_ap(np.array([True, True, False]), np.array([3.0, 2.0, 1.0]), positives=2) == 1.0


def test_micro_ap_refuses_too_few_positives():
    with pytest.raises(OptionError, match="cannot be"):
        metrics.micro_ap(np.array([True, True]), np.array([1.0, 2.0]), positives=1)


def test_knn_accuracy_leaves_each_row_out():
    rows = np.repeat(unit(3, 16, seed=1), 2, axis=0) + 0.01 * unit(6, 16, seed=2)

    assert knn.knn_accuracy(rows.astype(np.float16), np.array([0, 0, 1, 1, 2, 2])) == 1.0
    assert knn.knn_accuracy(rows.astype(np.float16), np.array([0, 1, 0, 1, 0, 1])) == 0.0


def test_knn_accuracy_of_copies_looks_at_another_copy():
    rows = np.repeat(unit(1, 8, seed=1), 3, axis=0).astype(np.float16)

    assert knn.knn_accuracy(rows, np.array(["a", "a", "a"])) == 1.0


@given(n=st.integers(2, 40), seed=st.integers(0, 999))
def test_knn_accuracy_equals_the_full_matrix(n, seed):
    rows = unit(n, 6, seed=seed).astype(np.float16)
    labels = np.random.default_rng(seed).integers(3, size=n)
    scores = rows.astype(np.float64) @ rows.astype(np.float64).T
    np.fill_diagonal(scores, -2)

    assert knn.knn_accuracy(rows, labels) == pytest.approx((labels[scores.argmax(axis=1)] == labels).mean())


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError):
        metrics.recall_at_k(np.zeros((2, 3), dtype=np.int64), np.zeros((3, 3), dtype=np.int64))
    with pytest.raises(ShapeError):
        knn.knn_accuracy(unit(3, 4, seed=1).astype(np.float16), np.zeros(2))
    with pytest.raises(OptionError):
        knn.knn_accuracy(unit(1, 4, seed=1).astype(np.float16), np.zeros(1))


def test_compatibility_counts_cross_tests_that_reach_the_self_test():
    nan = float("nan")
    matrix = np.array([[0.4, nan, nan], [0.5, 0.6, nan], [0.3, 0.6, 0.8]])
    ac, am = metrics.compatibility(matrix)

    assert ac == pytest.approx(2 / 3)  # 0.5 >= 0.4 does, 0.3 does not, 0.6 ties with 0.6
    assert am == pytest.approx((0.4 + 0.5 + 0.6 + 0.3 + 0.6 + 0.8) / 6)


def test_compatibility_of_what_was_not_measured_is_not_told():
    assert metrics.compatibility(np.full((2, 2), np.nan)) == (None, None)
    matrix = np.array([[0.4, np.nan], [np.nan, 0.6]])
    assert metrics.compatibility(matrix) == (None, pytest.approx(0.5))
    with pytest.raises(ShapeError, match="square"):
        metrics.compatibility(np.ones((2, 3)))


def test_update_gain_is_a_share_of_what_there_is_to_gain():
    assert metrics.update_gain(old_old=0.4, new_old=0.5, new_new=0.6) == pytest.approx(0.5)
    assert metrics.update_gain(old_old=0.4, new_old=0.3, new_new=0.6) == pytest.approx(-0.5)
    assert metrics.update_gain(old_old=0.4, new_old=0.5, new_new=0.4) is None


def test_regression_rate_is_what_was_right_and_is_wrong():
    before, after = np.array([True, True, False, False]), np.array([True, False, True, False])

    assert metrics.regression_rate(before, after) == 0.25


def test_the_area_of_a_straight_curve_is_its_middle():
    shares = np.array([0.0, 0.2, 1.0])

    assert metrics.curve_area(shares, 0.3 + 0.4 * shares) == pytest.approx(0.5)
    assert metrics.curve_area(shares, np.array([0.0, 1.0, 1.0])) == pytest.approx(0.9)

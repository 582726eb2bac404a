"""Neighbours of two encoders, and means with intervals."""

from __future__ import annotations

import numpy as np

from retrieval.curation.compare.neighbour_agreement import mean_of, neighbours_of, right_of, shared_by


def _rows(angles: list[float]) -> np.ndarray:
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float16)


def test_no_row_is_its_own_neighbour() -> None:
    near = neighbours_of(_rows([0, 1, 3, 90, 92]), np.array([0, 4]), k=2)

    assert near.places.tolist() == [[1, 2], [3, 2]]
    assert (np.diff(near.scores, axis=1) <= 0).all()


def test_copies_leave_each_other_as_neighbours() -> None:
    near = neighbours_of(_rows([10, 10, 10, 10, 60]), np.array([3]), k=2)

    assert 3 not in near.places
    assert set(near.places[0].tolist()) < {0, 1, 2}


def test_shared_neighbours_are_found_in_any_order() -> None:
    one = neighbours_of(_rows([0, 1, 3, 90, 92]), np.array([0]), k=2)
    other = neighbours_of(_rows([0, 3, 1, 2, 92]), np.array([0]), k=2)

    assert one.places.tolist() == [[1, 2]]
    assert other.places.tolist() == [[2, 3]]
    assert shared_by(one, other).tolist() == [[False, True]]


def test_labels_judge_the_first_and_the_whole_list() -> None:
    near = neighbours_of(_rows([0, 1, 3, 90, 92]), np.array([0, 2]), k=2)  # [1, 2] and [1, 0]

    right = right_of(near, np.array([0, 2]), np.array([5, 7, 5, 5, 5]))

    assert right.first.tolist() == [False, False]
    np.testing.assert_allclose(right.precision, [0.25, 0.25])


def test_a_mean_lies_within_its_interval() -> None:
    values = np.random.default_rng(1).random(400) < 0.3

    found = mean_of(values)

    assert found.low < found.value < found.high
    assert found.value == round(float(values.mean()), 4)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([found.value - found.low, found.high - found.value], half, rtol=0.25)

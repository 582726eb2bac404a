from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from indexes.errors import ShapeError, VectorError
from indexes.vectors.arrays import same_facts, stored_rows, unit_rows

FINITE = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(0.125, 1024, width=32),
)


@given(FINITE)
def test_rows_become_unit_and_keep_their_direction(array: np.ndarray) -> None:
    rows = unit_rows(array)

    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows * np.linalg.norm(array, axis=1, keepdims=True), array, rtol=1e-4)


@given(FINITE)
def test_again_changes_nothing(array: np.ndarray) -> None:
    rows = unit_rows(array)

    np.testing.assert_allclose(unit_rows(rows), rows, atol=1e-7)
    halves = rows.astype(np.float16)
    np.testing.assert_array_equal(unit_rows(halves).astype(np.float16), halves)


def test_what_was_handed_in_is_left_alone() -> None:
    array = np.full((2, 3), 2.0, dtype=np.float32)
    unit_rows(array)

    np.testing.assert_array_equal(array, np.full((2, 3), 2.0))


def test_large_values_do_not_overflow() -> None:
    np.testing.assert_allclose(
        unit_rows(np.array([[3e38, 3e38]], dtype=np.float32)), [[0.5**0.5, 0.5**0.5]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.ones((2, 3, 4)), ShapeError, "3, 4"),
        (np.ones((2, 0)), ShapeError, "expected"),
        (np.ones((2, 3)), ShapeError, "expected 4 columns, got 3"),
        (np.array([[1j] * 4]), ShapeError, "complex"),
        (np.array([["a"] * 4]), ShapeError, "expected"),
        (np.array([[1, 0, 0, 0], [0, 0, 0, 0]]), VectorError, "row 1 is zero"),
        (np.array([[1, 0, 0, np.nan]]), VectorError, "row 0 is not finite"),
        (np.array([[1, 0, 0, np.inf]]), VectorError, "row 0 is not finite"),
    ],
)
def test_what_is_no_vector_is_refused(array: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        unit_rows(array, dim=4)


def test_half_precision_rows_are_kept_bit_for_bit_unless_one_must_be_scaled():
    rows = np.eye(4, 8, dtype=np.float16)

    assert stored_rows(rows) is rows

    rows[2, 3] = 1
    stored = stored_rows(rows)

    assert stored is not rows
    assert np.allclose(np.linalg.norm(stored.astype(np.float32), axis=1), 1, atol=1e-3)
    assert np.array_equal(stored[0], rows[0])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_half_precision_rows_that_are_not_finite_are_refused(value):
    rows = np.eye(4, 8, dtype=np.float16)
    rows[1, 1] = value

    with pytest.raises(VectorError, match="row 1 is not finite"):
        stored_rows(rows)


def test_what_is_no_array_is_refused_in_a_sentence() -> None:
    with pytest.raises(ShapeError, match="query vectors: list cannot be read as an array of real numbers"):
        unit_rows([[1.0, 2.0], [3.0]], what="query vectors")


def test_numbers_beyond_float32_are_refused_without_a_warning() -> None:
    with pytest.raises(VectorError, match="row 0 is not finite"):
        unit_rows(np.full((1, 4), 1e300))


def test_masked_numbers_are_no_vector():
    masked = np.ma.masked_array([[1.0, 2.0]], [[True, False]])

    with pytest.raises(ShapeError, match="query vectors: some numbers are masked"):
        unit_rows(masked, what="query vectors")
    np.testing.assert_allclose(unit_rows(np.ma.masked_array([[3.0, 4.0]])), [[0.6, 0.8]])


def test_facts_with_arrays_are_compared_by_value():
    one = {"a": (np.array([1.0, np.nan]), [np.arange(3)])}

    assert same_facts(one, {"a": (np.array([1.0, np.nan]), [np.arange(3)])})
    for other in (
        {"a": (np.array([1.0, 2.0]), [np.arange(3)])},
        {"a": (np.array([1.0, np.nan]), [np.arange(4)])},
        {},
    ):
        assert not same_facts(one, other)

"""Integer arguments: integer-like values are taken, everything else is refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.errors import MissingRow, OptionError, ShapeError
from indexes.vectors.integers import integer, optional_integer, places, row_flags, row_ids

INTEGERS = [3, np.int64(3), np.uint8(3), np.int16(3), np.array(3), np.array(3, dtype=np.uint64)]


@pytest.mark.parametrize("value", INTEGERS, ids=repr)
def test_any_integer_like_value_is_one(value):
    assert (integer(value, "k"), type(integer(value, "k"))) == (3, int)


@pytest.mark.parametrize(
    "value",
    [5.0, np.float64(5), np.float32(5), True, False, np.True_, "5", None, [5], np.array([5, 6]), 5j],
    ids=repr,
)
def test_what_is_no_integer_is_refused_by_name_and_type(value):
    with pytest.raises(OptionError, match=rf"^k is .*\({type(value).__name__}\); it must be an integer"):
        integer(value, "k")


@pytest.mark.parametrize("value", [0, -1, np.int64(-5), -(10**30)])
def test_too_small(value):
    with pytest.raises(OptionError, match="must be at least 1"):
        integer(value, "k")


def test_too_large_and_not_given():
    with pytest.raises(OptionError, match="must be at most"):
        integer(10**30, "k")
    assert integer(10**30, "the id", most=None) == 10**30
    assert optional_integer(None, "k") is None


def test_places_beyond_the_rows_are_padded_only_while_they_fit():
    assert places(1000, queries=10, rows=3) == 1000
    assert places(10**9, queries=1, rows=10**9) == 10**9
    with pytest.raises(OptionError, match="holds 3 rows"):
        places(2**40, queries=1, rows=3)


@pytest.mark.parametrize(
    "ids",
    [[2, 0], (2, 0), np.array([2, 0], dtype=np.uint16), [np.int8(2), 0], np.array([2, 0], dtype=object)],
    ids=repr,
)
def test_ids_keep_their_order(ids):
    assert row_ids(ids, count=3, where="c").tolist() == [2, 0]


def test_flags_give_the_rows_where_they_are_true():
    assert row_ids(np.array([False, True, True]), count=3, where="c").tolist() == [1, 2]
    assert row_ids([True, False, True], count=3, where="c").tolist() == [0, 2]
    assert row_ids(2, count=3, where="c").tolist() == [2]
    for nothing in ([], np.array([]), np.zeros(3, dtype=bool)):
        assert row_ids(nothing, count=3, where="c").tolist() == []


@pytest.mark.parametrize(
    "ids", [[True], np.ones(4, dtype=bool), [[1, 2]], np.zeros((2, 2), dtype=int), [[1], [1, 2]]]
)
def test_another_shape_is_refused(ids):
    with pytest.raises(ShapeError):
        row_ids(ids, count=3, where="c")


@pytest.mark.parametrize(
    "ids", [[1.0], np.array([0.0, 1.0]), [0, 1.5], ["1"], "1", [None], [True, 2], [2, False], 1.0, np.array([1], "M8[s]")],
    ids=repr,
)  # fmt: skip
def test_what_is_no_id_is_refused(ids):
    with pytest.raises(OptionError):
        row_ids(ids, count=3, where="c")


@pytest.mark.parametrize(
    "ids", [[3], [-1], [10**30], [0, -(10**30)], np.array([2**64 - 1], dtype=np.uint64)], ids=repr
)
def test_an_id_that_is_not_there_is_missing(ids):
    with pytest.raises(MissingRow, match="ids run from 0 to 2"):
        row_ids(ids, count=3, where="c")


@pytest.mark.parametrize(
    "keep", [[1, 0, 1], np.ones(2, dtype=bool), [0.5] * 3, np.ones((3, 1), dtype=bool), None]
)
def test_flags_are_truth_values_one_a_row(keep):
    with pytest.raises(ShapeError, match="truth values"):
        row_flags(keep, count=3)
    assert row_flags([True, False, True], count=3).tolist() == [True, False, True]


def test_ids_in_lists_without_end_are_refused() -> None:
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]

    with pytest.raises(ShapeError, match="row ids: expected one axis"):
        row_ids(nested, count=3, where="here")

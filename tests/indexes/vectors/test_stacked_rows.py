"""Rows of several arrays behave as those of one array."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.engine import exact
from indexes.errors import ShapeError
from indexes.vectors import StackedRows, as_stacked

ROWS = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float16)
STACKED = StackedRows([ROWS[:100], ROWS[100:100], ROWS[100:350], ROWS[350:]])


@pytest.mark.parametrize(
    "chosen",
    [
        slice(10, 20),
        slice(90, 360),
        slice(None, None, 7),
        slice(499, 3, -5),
        slice(0, 0),
        5,
        -1,
        np.array([[1, 2], [-1, 400]]),
        np.empty(0, dtype=np.int64),
        ROWS[:, 0] > 0,
        (slice(99, 102), slice(2, 5)),
    ],
)
def test_they_are_indexed_as_one_array(chosen):
    np.testing.assert_array_equal(STACKED[chosen], ROWS[chosen])


def test_they_have_the_shape_of_one_array():
    assert (STACKED.shape, len(STACKED), STACKED.dtype) == (ROWS.shape, len(ROWS), ROWS.dtype)
    np.testing.assert_array_equal(np.asarray(STACKED), ROWS)
    np.testing.assert_array_equal(STACKED.take([3, 400], axis=0), ROWS.take([3, 400], axis=0))
    np.testing.assert_array_equal(list(STACKED), list(ROWS))
    assert as_stacked(STACKED) is STACKED
    assert STACKED[100:340].base is not None  # of one part: not copied


def test_what_cannot_be_is_refused():
    with pytest.raises(IndexError):
        STACKED[500]
    with pytest.raises(IndexError):
        STACKED[np.ones(3, dtype=np.bool_)]
    with pytest.raises(ShapeError, match="one width"):
        StackedRows([ROWS, ROWS[:, :3]])
    with pytest.raises(ShapeError, match="axis"):
        STACKED.take([0], axis=1)


@pytest.mark.parametrize("keep", [None, ROWS[:, 0] > 0, ROWS[:, 0] > 9], ids=["all", "half", "none"])
@pytest.mark.parametrize("queries", [0, 1, 20])
def test_they_are_searched_as_one_array(keep, queries):
    asked = ROWS[:queries].astype(np.float32)

    found, true = (exact(rows, asked, k=7, keep=keep) for rows in (STACKED, ROWS))

    np.testing.assert_array_equal(found.ids, true.ids)
    np.testing.assert_array_equal(found.scores, true.scores)

"""Colours of a map: codes and what they mean."""

from __future__ import annotations

import numpy as np

from retrieval.curation.map.colorings import (
    MISSING,
    OTHER,
    category_coloring,
    column_colorings,
    folder_coloring,
)


def test_values_are_coded_the_most_frequent_first() -> None:
    made = category_coloring("label", ["b", "a", None, "b", ""])

    assert made.values == ("b", "a")
    assert made.codes.tolist() == [0, 1, MISSING, 0, MISSING]


def test_rare_values_share_a_colour() -> None:
    made = category_coloring("label", [f"{number:03}" for number in range(260)])

    assert len(made.values) == 250
    assert (made.codes == OTHER).sum() == 10


def test_folders_are_those_where_paths_part() -> None:
    made = folder_coloring(["a/x/1.png", "a/x/2.png", "a/y/b/3.png"])

    assert made is not None
    assert made.values == ("a/x", "a/y")
    assert folder_coloring(["a/1.png", "a/2.png"]) is None
    assert folder_coloring([]) is None


def test_numbers_and_times_become_shades() -> None:
    width, taken = column_colorings(
        {"width": [0, 50, 100, None], "taken": ["2019-01-01", None, "2021-01-01", "2020-01-01"]},
        {"width": "integer", "taken": "time"},
    )[::-1]

    assert (width.name, taken.name) == ("width", "taken")
    assert width.codes.tolist() == [0, 32, 63, MISSING]
    assert np.diff(taken.codes[[0, 3, 2]].astype(int)).min() > 0
    assert taken.ends is not None
    assert (taken.ends[0][:4], taken.ends[1][:4]) == ("2019", "2020")


def test_columns_that_tell_nothing_apart_are_left_out() -> None:
    columns = {
        "same": ["x"] * 6,
        "all different": list("abcdef"),
        "one number": [3] * 6,
        "empty": [None] * 6,
        "camera": ["a", "a", "b", "b", "b", None],
        "flag": [True, False] * 3,
    }
    types = dict.fromkeys(columns, "text") | {"one number": "integer", "flag": "boolean"}

    assert [made.name for made in column_colorings(columns, types)] == ["camera", "flag"]

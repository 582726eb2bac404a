"""Windows lie within the picture, differ, cover it, and are as many as were asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from retrieval.views import MOST_VIEWS, cut, windows

WHOLE = (4, 9, 16, 25, 61)


@pytest.mark.parametrize("number", range(MOST_VIEWS + 1))
def test_windows_differ_and_lie_within(number: int) -> None:
    boxes = windows(number)

    assert len(boxes) == len(set(boxes)) == number
    for x, y, width, height in boxes:
        assert 0 <= x <= x + width <= 1 + 1e-9
        assert 0 <= y <= y + height <= 1 + 1e-9


@pytest.mark.parametrize("number", WHOLE)
def test_a_whole_layout_leaves_no_gap(number: int) -> None:
    seen = np.zeros((100, 100), dtype=bool)
    for x, y, width, height in windows(number):
        seen[round(100 * y) : round(100 * (y + height)), round(100 * x) : round(100 * (x + width))] = True

    assert seen.all()


def test_a_number_between_two_layouts_begins_with_the_smaller_one() -> None:
    for smaller, larger in pairwise(WHOLE):
        for number in range(smaller, larger):
            assert windows(number)[:smaller] == windows(smaller)


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (37, 23), (4000, 3)])
def test_a_part_has_at_least_a_pixel(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size)
    for box in windows(MOST_VIEWS):
        assert min(cut(picture, box).size) >= 1

"""Outlines of one picture in another: how much of each the other shows, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from retrieval.curation.duplicates.judgements.judgements import Judgement, Overlay, common_share, outside

WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
HALF = ((0.25, 0.0), (0.75, 0.0), (0.75, 1.0), (0.25, 1.0))
LARGER = ((-0.5, -0.5), (1.5, -0.5), (1.5, 1.5), (-0.5, 1.5))


@pytest.mark.parametrize(
    ("outline", "shown", "covered", "scale"),
    [
        (None, 1.0, 1.0, 2.0),
        (WHOLE, 1.0, 1.0, 2.0),
        (HALF, 1.0, 0.5, np.sqrt(2)),
        (LARGER, 0.25, 1.0, 4.0),
        (tuple(reversed(WHOLE)), 1.0, 1.0, 2.0),
        (((2.0, 0.0), (3.0, 0.0), (3.0, 1.0), (2.0, 1.0)), 0.0, 0.0, 2.0),
    ],
)
def test_what_two_pictures_show_of_each_other(outline, shown: float, covered: float, scale: float) -> None:
    overlay = Overlay.of(outline, first=(100, 50), second=(200, 100))

    assert overlay.shown == pytest.approx(shown)
    assert overlay.covered == pytest.approx(covered)
    assert overlay.scale == pytest.approx(scale)


@given(
    st.floats(0.2, 3), st.floats(0.2, 3), st.floats(-1, 1), st.floats(-1, 1), st.floats(-3, 3), st.booleans()
)
def test_the_way_there_and_back(width, height, left, top, angle, mirrored) -> None:
    corners = np.array(WHOLE) * [width, height]
    if mirrored:
        corners[:, 0] *= -1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline = tuple(map(tuple, corners @ turn.T + [left, top]))
    there = Judgement(relation="picture", outline=outline)

    back = there.reversed().reversed().outline

    assert back is not None
    assert np.allclose(back, outline, atol=1e-6)


def test_a_flat_outline_has_no_way_back() -> None:
    flat = Judgement(relation="picture", outline=((0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 0.0)))

    assert flat.reversed().outline is None


def test_what_lies_outside_of_an_outline() -> None:
    cells = outside(HALF, 8)

    assert cells.mean() == 0.5
    assert cells[:, :2].all()
    assert not cells[:, 2:6].any()


def test_what_two_outlines_have_in_common() -> None:
    assert common_share(WHOLE, HALF) == pytest.approx(1.0)
    assert common_share(HALF, ((0.8, 0.0), (1.0, 0.0), (1.0, 1.0), (0.8, 1.0))) == 0.0

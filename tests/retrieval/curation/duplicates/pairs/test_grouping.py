"""Rows are grouped around the one that stays, nothing is chained, and dense groups end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from retrieval.curation.duplicates.judgements.judgements import NOTHING, Judgement
from retrieval.curation.duplicates.pairs.grouping import MOST_FAILURES, Star, stars, unlike_parts

SAME = Judgement(relation="picture", probability=1.0)
ALIKE = frozenset({"picture"})


class Compare:
    """Says which rows are one picture; counts what it was asked."""

    def __init__(self, same) -> None:
        self._same, self.asked = same, 0

    def __call__(self, rows: list[int], stays: int) -> list[Judgement]:
        self.asked += len(rows)
        return [SAME if self._same(row, stays) else NOTHING for row in rows]


def grouped(pairs, count: int, same, **options):
    compare = Compare(same)
    found = stars(
        np.array(pairs, dtype=np.int64).reshape(-1, 2),
        order=np.arange(count),
        compare=compare,
        accepts=ALIKE,
        **options,
    )
    return {star.stays: sorted(star.members) for star in found.sets}, compare.asked, found.cut


def test_likeness_is_not_chained() -> None:
    """1 is like 0 and like 2, as a collage of both is; 0 and 2 are not alike."""
    sets, _, _ = grouped([(0, 1), (1, 2)], 3, lambda row, stays: abs(row - stays) == 1)

    assert sets == {0: [1]}


def test_a_member_brings_what_lies_beside_it() -> None:
    sets, asked, _ = grouped([(0, 1), (1, 2), (2, 3)], 4, lambda *_: True)

    assert sets == {0: [1, 2, 3]}
    assert asked == 3


def test_a_part_makes_place_for_the_whole() -> None:
    """0 is a crop of 2; 1 is another one, which shows nothing that 0 does."""
    sets, _, _ = grouped(
        [(0, 2), (1, 2)],
        3,
        lambda row, stays: 2 in {row, stays},
        shows_more=lambda row, stays, _: row == 2 and stays != 2,
    )

    assert sets == {2: [0, 1]}


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40), st.integers(0, 2**32 - 1))
def test_every_member_was_compared_with_the_one_that_stays(pairs, seed: int) -> None:
    rng = np.random.default_rng(seed)
    same = rng.random((12, 12)) < 0.5
    same |= same.T
    pairs = [pair for pair in pairs if pair[0] != pair[1]]

    sets, _, _ = grouped(pairs, 12, lambda row, stays: same[row, stays])

    taken = [row for stays, members in sets.items() for row in (stays, *members)]
    assert len(taken) == len(set(taken))
    assert all(same[row, stays] for stays, members in sets.items() for row in members)
    for one, other in pairs:  # what is alike is together, unless one of the two is in another set
        if same[one, other]:
            assert one in taken or other in taken


def test_a_dense_group_of_unlike_rows_ends() -> None:
    """Frames of a film: each is beside fifty others, and like none of them."""
    count = 3_000
    pairs = [(row, (row + step) % count) for row in range(count) for step in range(1, 26)]

    sets, asked, cut = grouped(pairs, count, lambda *_: False)

    assert sets == {}
    assert asked <= count * (MOST_FAILURES + 8)
    assert cut == 0


def test_a_film_that_moves_slowly_is_compared_in_work_that_grows_as_its_frames() -> None:
    count = 20_000
    pairs = [(row, row + step) for row in range(count) for step in range(1, 26) if row + step < count]

    sets, asked, _ = grouped(pairs, count, lambda row, stays: abs(row - stays) <= 40)

    assert all(max(members) - stays <= 40 for stays, members in sets.items())
    assert asked <= 6 * count


def outline(left: float, top: float, right: float, bottom: float) -> Judgement:
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Judgement(relation="picture", probability=1.0, outline=corners)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({1: outline(0, 0, 1, 1), 2: outline(0.1, 0.1, 1, 1)}, [[1, 2]]),
        ({1: outline(0, 0, 0.4, 0.4), 2: outline(0.6, 0.6, 1, 1)}, [[1], [2]]),
        ({1: outline(0, 0, 0.5, 0.5), 2: outline(0.1, 0.1, 0.5, 0.5)}, [[1, 2]]),
        ({1: outline(0, 0, 0.4, 0.4), 2: outline(0.6, 0.6, 1, 1), 3: outline(0, 0, 1, 1)}, [[3], [1], [2]]),
    ],
)
def test_different_parts_of_one_picture_are_different_sets(members, expected) -> None:
    def covered(one: Judgement) -> float:
        assert one.outline is not None
        (left, top), _, (right, bottom), _ = one.outline
        return (right - left) * (bottom - top)

    found = [sorted(part.members) for part in unlike_parts(Star(stays=0, members=members), covered)]

    assert found == expected

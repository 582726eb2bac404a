"""What shards find is merged as if it had been found in one place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.search import joined
from indexes.search.shard_search import candidates_of_each, shortlists
from indexes.vectors import Neighbors, best


@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_best_of_all_shards_come_first(drawn):
    found = [
        Neighbors(ids=np.array([[0, 1, 2]]), scores=np.sort(np.array([scores], dtype=np.float32))[:, ::-1])
        for scores in drawn
    ]
    firsts = [number * 10 for number in range(len(found))]

    merged = joined(found, k=3, firsts=firsts)

    every = best(
        np.hstack([one.ids + first for one, first in zip(found, firsts, strict=True)]),
        np.hstack([one.scores for one in found]),
        k=3,
    )
    assert np.array_equal(merged.ids, every.ids)
    assert np.array_equal(merged.scores, every.scores)


def test_padding_stays_padding():
    nothing = Neighbors(ids=np.array([[-1, -1]]), scores=np.full((1, 2), -np.inf, dtype=np.float32))

    merged = joined([nothing, nothing], k=3, firsts=[0, 1 << 32])

    assert merged.ids.tolist() == [[-1, -1, -1]]


def test_a_shortlist_is_of_all_shards_together():
    found = [
        Neighbors(ids=np.arange(4)[np.newaxis], scores=np.array([[9, 8, 1, 0]], dtype=np.float32)),
        Neighbors(ids=np.arange(4)[np.newaxis], scores=np.array([[7, 3, 2, -1]], dtype=np.float32)),
    ]

    first, second = shortlists(found, size=3)

    assert first.tolist() == [[0, 1, -1, -1]]
    assert second.tolist() == [[0, -1, -1, -1]]


@pytest.mark.parametrize(
    ("size", "shards", "found"), [(160, 8, 56), (20, 8, 20), (100, 1, 100), (640, 2, 640)]
)
def test_a_shard_finds_twice_its_share_of_a_shortlist_and_some(size, shards, found):
    assert candidates_of_each(size, shards=shards) == found

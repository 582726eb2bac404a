"""Neighbours are two arrays that are taken apart, looked at by query, and made a table."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from indexes.vectors.neighbors import Neighbors, best, ranking

IDS = np.array([[4, 2, 9], [7, -1, -1]])
SCORES = np.array([[0.75, 0.5, 0.25], [0.5, -np.inf, -np.inf]], np.float32)
ROWS = [
    {"query": 0, "rank": 1, "id": 4, "score": 0.75},
    {"query": 0, "rank": 2, "id": 2, "score": 0.5},
    {"query": 0, "rank": 3, "id": 9, "score": 0.25},
    {"query": 1, "rank": 1, "id": 7, "score": 0.5},
]


@pytest.fixture
def neighbors() -> Neighbors:
    return Neighbors(ids=IDS, scores=SCORES)


def test_they_are_taken_apart_as_two_arrays(neighbors: Neighbors) -> None:
    ids, scores = neighbors

    assert ids is IDS
    assert scores is SCORES
    assert len(neighbors) == 2


def test_each_querys_are_without_padding(neighbors: Neighbors) -> None:
    ids, scores = neighbors[1]

    assert (ids.tolist(), scores.tolist()) == ([7], [0.5])
    assert neighbors[-2].ids.tolist() == [4, 2, 9]
    assert neighbors[np.int64(0)].ids.tolist() == [4, 2, 9]
    with pytest.raises(IndexError):
        neighbors[2]


def test_some_queries_are_neighbours_again(neighbors: Neighbors) -> None:
    some = neighbors[1:]

    assert isinstance(some, Neighbors)
    assert (some.ids.tolist(), len(some)) == ([[7, -1, -1]], 1)


def test_they_become_dictionaries_and_a_table(neighbors: Neighbors) -> None:
    table = pd.DataFrame(neighbors.columns())

    assert json.loads(json.dumps(neighbors.to_dicts())) == neighbors.to_dicts() == ROWS
    assert list(table.columns) == ["query", "rank", "id", "score"]
    assert table.to_dict("records") == ROWS
    assert list(neighbors[2:].columns()) == list(table.columns)


def test_pandas_makes_the_same_table_of_the_object_itself(neighbors: Neighbors) -> None:
    table = pd.DataFrame(neighbors)

    assert list(table.columns) == ["query", "rank", "id", "score"]
    assert table.to_dict("records") == ROWS
    assert len(pd.DataFrame(neighbors[2:])) == 0


def test_as_an_array_they_are_their_lines(neighbors: Neighbors) -> None:
    assert [line.id for line in np.asarray(neighbors)] == [4, 2, 9, 7]


def test_they_pickle(neighbors: Neighbors) -> None:
    again = pickle.loads(pickle.dumps(neighbors))  # noqa: S301

    np.testing.assert_array_equal(again.ids, IDS)
    np.testing.assert_array_equal(again.scores, SCORES)


def test_a_notebook_shows_the_first_of_many() -> None:
    ids = np.arange(200_000).reshape(1000, 200)
    shown = Neighbors(ids=ids, scores=np.ones(ids.shape, np.float32))._repr_html_()

    assert "1,000 queries, 200 neighbours each" in shown
    assert shown.count("<td>") == 100
    assert len(shown) < 10_000


def test_a_notebook_shows_no_padding(neighbors: Neighbors) -> None:
    assert neighbors._repr_html_().count("<td>") == 4
    assert "inf" not in neighbors._repr_html_()
    assert "<td>" not in Neighbors(ids=IDS[:0], scores=SCORES[:0])._repr_html_()


@given(
    hnp.arrays(np.float32, (3, 12), elements=st.sampled_from([-0.5, 0.0, 0.25, 0.5])),
    st.integers(1, 20),
)
def test_best_is_a_full_sort_with_ties_by_smaller_id(scores: np.ndarray, k: int) -> None:
    ids = np.tile(np.arange(12), (3, 1))
    ids[1, ::3] = -1

    found = best(ids, scores, k=k)

    for row in range(3):
        pairs = sorted(
            (-score, number) for number, score in zip(ids[row], scores[row], strict=True) if number >= 0
        )[:k]
        expected = [number for _, number in pairs] + [-1] * (k - len(pairs))
        assert found.ids[row].tolist() == expected
        assert found.scores[row].tolist() == [-score for score, _ in pairs] + [-np.inf] * (k - len(pairs))


def test_a_ranking_says_where_the_best_stand() -> None:
    ids = np.array([[7, -1, 3, 9, 4], [2, 8, -1, -1, 0]])
    scores = np.array([[0.5, 2, 0.75, 1, 0.25], [0.5, 0.25, 2, 2, 0.75]], np.float32)
    places = ranking(ids, scores, k=3)

    assert places.tolist() == [[3, 2, 0], [4, 0, 1]]
    np.testing.assert_array_equal(np.take_along_axis(ids, places, axis=1), best(ids, scores, k=3).ids)


def test_a_name_of_another_library_is_answered_with_ours():
    neighbors = Neighbors(ids=np.zeros((1, 1), np.int64), scores=np.ones((1, 1), np.float32))

    with pytest.raises(AttributeError, match="use scores: cosines"):
        _ = neighbors.distances
    assert pickle.loads(pickle.dumps(neighbors)).ids.tolist() == [[0]]  # noqa: S301


@pytest.mark.parametrize("k", [1, 3, 10])
def test_few_of_many_are_the_first_of_all(k):
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 30, (40, 200)).astype(np.float32)  # with ties across every place
    ids = rng.permuted(np.tile(np.arange(200), (40, 1)), axis=1)
    ids[rng.random(ids.shape) < 0.2] = -1
    ids[0] = -1
    scores[1, rng.random(200) < 0.9] = np.nan
    every = best(ids, scores, k=200)
    found = best(ids, scores, k=k)

    np.testing.assert_array_equal(found.ids, every.ids[:, :k])
    np.testing.assert_array_equal(found.scores, every.scores[:, :k])

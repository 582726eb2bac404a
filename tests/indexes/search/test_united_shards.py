"""Shards that are joined in memory answer as they do one by one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import retrieval
from indexes.search import shard_search, united_shards
from retrieval.collection.sharded import shard_group
from tests.retrieval.shards import shards_of, vectors


@pytest.fixture(scope="module", params=["ivfrabitq", "IVF16,PQ8", "HR,IVF16_HNSW8,RaBitQfs"])
def made(request, tmp_path_factory):
    """Give a directory of three shards of which one has tombstones."""
    directory = tmp_path_factory.mktemp("made")
    rows = vectors(2300)
    shards_of(directory, [rows[:800], rows[800:1500], rows[1500:]], kind=request.param)
    with retrieval.open(directory) as sharded:
        sharded.delete(ids=sharded.row_ids()[790:860])
    return directory


def is_joined(collection) -> bool:
    (group,) = collection._opened._asked._groups
    return group.actor.ask("is_united").get()


def test_they_answer_as_they_do_one_by_one(made, monkeypatch):
    monkeypatch.setattr(shard_search, "_SOME", 10_000)  # each shard finds all of a shortlist
    queries = vectors(130, seed=1)
    with retrieval.open(made) as sharded:
        apart = [sharded.search_vectors(query, k=k) for query in queries[:20] for k in (1, 10)]
        assert not is_joined(sharded)
        sharded.search_vectors(queries, k=3)
        assert is_joined(sharded)
        joined = [sharded.search_vectors(query, k=k) for query in queries[:20] for k in (1, 10)]
        batch = sharded.search_vectors(queries[:20], k=10)
        every = sharded.search_vectors(queries, k=12, nprobe=1000, shortlist=2300)
        exact = sharded.search_vectors(queries, k=12, exact=True)

    for one, other in zip(apart, joined, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    np.testing.assert_array_equal(batch.ids, np.concatenate([one.ids for one in joined[1::2]]))
    np.testing.assert_array_equal(every.ids, exact.ids)
    np.testing.assert_array_equal(every.scores, exact.scores)


def test_more_neighbours_than_the_lists_probed_hold_are_filled(made, monkeypatch):
    monkeypatch.setattr(shard_group, "_MANY", 1)
    with retrieval.open(made) as sharded:
        found = sharded.search_vectors(vectors(2, seed=2), k=2230, nprobe=1)
        assert is_joined(sharded)

    assert [len(set(row)) for row in found.ids.tolist()] == [2230, 2230]


def test_rows_behind_the_lists_are_searched_besides(made, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_group, "_MANY", 1)
    shutil.copytree(made, tmp_path / "own")
    new = vectors(3, seed=3)
    with retrieval.open(tmp_path / "own") as sharded:
        rows = sharded.add(new, ["new", "newer", "newest"])
        sharded.delete(ids=rows[1:2])
        found = sharded.search_vectors(new, k=1)
        assert is_joined(sharded)

    assert found.ids[[0, 2], 0].tolist() == rows[[0, 2]].tolist()
    assert found.ids[1, 0] != rows[1]


def test_large_lists_stay_where_they_lie(made, monkeypatch):
    monkeypatch.setattr(shard_group, "_MANY", 1)
    monkeypatch.setattr(united_shards, "JOINED_BYTES", 1000)
    with retrieval.open(made) as sharded:
        sharded.search_vectors(vectors(3, seed=1), k=3)
        assert not is_joined(sharded)

"""Several shards in one process are asked together."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from indexes.generation import read_shards
from indexes.search import UnitedShards
from retrieval.collection.sharded.shard_group import ShardGroup
from tests.retrieval.shards import shards_of, vectors


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("made")
    rows = vectors(1500)
    shards_of(directory, [rows[:500], rows[500:1000], rows[1000:]])
    return directory


@pytest.fixture
def group(made):
    facts = {
        shard.number: (str(made / shard.name), shard.manifest.to_json()) for shard in read_shards(made).shards
    }
    group = ShardGroup(facts, "cpu")
    yield group
    group.close()


def test_both_steps_of_a_search_find_what_the_whole_search_finds(group):
    queries = vectors(20, seed=1)
    for joined in (False, True):
        whole = group.search(queries, 10, 8, 80)
        chosen = group.probes(queries, 8)
        codes = group.probed(chosen, 80, 80)
        found = group.scored(queries, codes.ids, 10)

        np.testing.assert_array_equal(found.ids[:, :5], whole.ids[:, :5])
        np.testing.assert_allclose(found.scores[:, :5], whole.scores[:, :5], atol=1e-6)
        assert group.is_united() == joined
        group.search(vectors(100, seed=2), 1, 1, 1)
    assert group.is_united()


def test_a_shard_that_is_damaged_is_asked_no_more(group):
    group.search(vectors(100, seed=2), 1, 1, 1)
    error = FileNotFoundError("gone")

    group.leave_out(1, error)

    assert group.opened() == ([0, 2], {1: error})
    assert group.each("find", {1: (b"1/0",), 2: (b"2/0",)}, {})[1] == (None, error)
    ids = group.search(vectors(50, seed=3), 10, 1000, 1500).ids
    assert set(np.unique(ids[ids >= 0] >> 32)) == {0, 2}


def test_a_shard_that_is_left_out_while_shards_are_joined_stays_out(group, monkeypatch):
    joined, go = threading.Event(), threading.Event()
    real = UnitedShards.of

    def slow(*args):
        made = real(*args)
        joined.set()
        go.wait(60)
        return made

    monkeypatch.setattr(UnitedShards, "of", slow)
    joining = threading.Thread(target=group.search, args=(vectors(100, seed=2), 1, 1, 1))
    joining.start()
    joined.wait(60)
    group.leave_out(1, FileNotFoundError("gone"))
    go.set()
    joining.join()

    ids = group.search(vectors(50, seed=3), 10, 1000, 1500).ids

    assert set(np.unique(ids[ids >= 0] >> 32)) == {0, 2}

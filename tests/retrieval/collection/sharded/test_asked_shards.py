"""Shards in processes of their own answer as in this one; one whose process dies is opened again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import retrieval
from indexes.generation import generation_path, read_shards
from retrieval.collection.sharded import asked_shards
from retrieval.errors import OptionError, StoreCorrupt, WorkerLost
from tests.retrieval.shards import shards_of, vectors


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("made")
    rows = vectors(1200)
    shards_of(directory, [rows[:700], rows[700:]])
    return directory


def actors(collection):
    return [group.actor for group in collection._opened._asked._groups]


@pytest.mark.parametrize("all_in_each", [True, False])
def test_shards_in_processes_answer_as_in_this_one(made, monkeypatch, all_in_each):
    monkeypatch.setattr(asked_shards, "JOINED_BYTES", 1 << 20 if all_in_each else 0)
    queries = vectors(130, seed=1)
    with retrieval.open(made) as here, retrieval.open(made, cluster="local:2") as there:
        for options in ({}, {"exact": True}, {"glob": "*7"}, {"mask": here.mask(under="1")}):
            found = there.search_vectors(queries, k=10, **options)
            plain = here.search_vectors(queries, k=10, **options)
            assert np.mean(found.ids == plain.ids) > (
                0.99 if options == {} else 0.9999
            )  # candidates may differ
            assert np.allclose(found.scores, plain.scores, atol=1e-6 if options else 0.05)
        assert there.search(0, k=3) == here.search(0, k=3)
        assert len({os.getpid(), *(actor.pid for actor in actors(there))}) == 3

        os.kill(actors(there)[1].pid, signal.SIGKILL)
        assert there.search(0, k=3) == here.search(0, k=3)
        assert there.missing == ()


def test_a_process_that_cannot_be_started_again_is_left_to_the_others(made, tmp_path):
    shutil.copytree(made, tmp_path / "own")
    with retrieval.open(tmp_path / "own", cluster="local:2") as sharded:
        before = [sharded.search(number, k=5) for number in range(4)]
        sharded._opened._asked._cluster.keep = lose
        os.kill(actors(sharded)[1].pid, signal.SIGKILL)

        assert [sharded.search(number, k=5) for number in range(4)] == before
        assert sharded.missing == ()


def test_a_process_that_could_not_be_started_is_tried_again_later(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "own")
    with retrieval.open(tmp_path / "own", cluster="local:2") as sharded:
        before = sharded.search_vectors(vectors(8, seed=1), k=5)
        lost = actors(sharded)[1]
        keep = sharded._opened._asked._cluster.keep
        sharded._opened._asked._cluster.keep = lose
        os.kill(lost.pid, signal.SIGKILL)
        sharded.search_vectors(vectors(8, seed=1), k=5)
        assert actors(sharded)[1] is lost

        sharded._opened._asked._cluster.keep = keep
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + asked_shards.REST_SECONDS)
        found = sharded.search_vectors(vectors(8, seed=1), k=5)

        assert actors(sharded)[1] is not lost
        np.testing.assert_array_equal(found.ids, before.ids)
        np.testing.assert_array_equal(sharded.search_vectors(vectors(8, seed=1), k=5).ids, before.ids)


@pytest.mark.parametrize("times", [1, 2])
def test_shards_are_opened_elsewhere_where_a_process_ends_meanwhile(made, monkeypatch, times):
    keep, lost = asked_shards.AskedShards._kept, []

    def kept(self, numbers):
        actor = keep(self, numbers)
        if len(lost) < times:
            lost.append(actor)
            os.kill(actor.pid, signal.SIGKILL)
        return actor

    monkeypatch.setattr(asked_shards.AskedShards, "_kept", kept)
    if times == 2:
        with pytest.raises(WorkerLost):
            retrieval.open(made, cluster="local:1")
        return
    with retrieval.open(made, cluster="local:1") as sharded:
        assert len(sharded.search(0, k=3)) == 3


class Silent:
    """An actor whose shards are open, and which never answers a search."""

    pid = None

    def __init__(self, asked):
        self.asked = asked

    def ask(self, method, *_args, **_options):
        self.asked.append(method)
        return self if method == "search" else Opened()

    def get(self, timeout):
        time.sleep(timeout)
        raise WorkerLost(f"has not answered within {timeout} s")

    def close(self):
        pass


class Opened:
    def get(self, _timeout):
        return [0, 1], {}


@pytest.mark.parametrize("partial", [False, True])
def test_a_query_that_no_process_answers_ends(made, monkeypatch, partial):
    monkeypatch.setattr(asked_shards, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(asked_shards, "REST_SECONDS", 0.02)  # before the others have been waited for
    asked = []
    with retrieval.open(made, cluster="local:2", allow_partial=partial) as sharded:
        for group in sharded._opened._asked._groups:
            group.actor.close()
            group.actor = Silent(asked)
        sharded._opened._asked._kept = lambda _numbers: Silent(asked)
        if partial:
            assert sharded.search_vectors(vectors(1, seed=1), k=3).ids.tolist() == [[-1, -1, -1]]
            assert sharded.missing == ("shard-00000", "shard-00001")
        else:
            with pytest.raises(WorkerLost, match="shard-00001 were not searched: has not answered"):
                sharded.search_vectors(vectors(1, seed=1), k=3)

    assert asked.count("search") == 4  # each process once, and once more when it was opened again


def test_a_group_that_rests_is_asked_where_the_only_other_one_dies(made):
    with retrieval.open(made, cluster="local:2") as sharded:
        before = sharded.search(0, k=5)
        asked = sharded._opened._asked
        first, second = asked._groups
        second.rests_until = time.monotonic() + 1000
        asked._cluster.keep = lose
        os.kill(first.actor.pid, signal.SIGKILL)

        assert sharded.search(0, k=5) == before
        assert sharded.missing == ()


def lose(*_):
    raise WorkerLost("no process can be started")


def test_a_shard_that_cannot_be_opened_again_is_named_or_missing(made, tmp_path, monkeypatch):
    monkeypatch.setattr(asked_shards, "JOINED_BYTES", 0)
    shutil.copytree(made, tmp_path / "own")
    with retrieval.open(tmp_path / "own", cluster="local:2", allow_partial=True) as sharded:
        os.kill(actors(sharded)[1].pid, signal.SIGKILL)
        shutil.move(tmp_path / "own/shard-00001", tmp_path / "away")

        found = sharded.search(0, k=1000)

        assert found.missing == ("shard-00001",)
        assert len(found) == 699
    with pytest.raises(StoreCorrupt, match="shard-00001"):
        retrieval.open(tmp_path / "own", cluster="local:2")


def damage(directory, *numbers):
    for shard in read_shards(directory).shards:
        if shard.number in numbers:
            path = generation_path(directory / shard.name, shard.manifest.generation) / "index.faiss"
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 255
            path.unlink()
            path.write_bytes(data)


def test_a_damaged_shard_is_named_each_time_where_none_may_be_missing(made, tmp_path):
    shutil.copytree(made, tmp_path / "own")
    with retrieval.open(tmp_path / "own") as sharded:
        damage(tmp_path / "own", 1)
        for _ in range(3):
            with pytest.raises(StoreCorrupt, match="shard-00001"):
                sharded.search_vectors(vectors(1, seed=1), k=3)


def test_a_shard_that_cannot_be_opened_again_is_named_each_time(made, tmp_path):
    shutil.copytree(made, tmp_path / "own")
    with retrieval.open(tmp_path / "own", cluster="local:1") as sharded:
        os.kill(actors(sharded)[0].pid, signal.SIGKILL)
        shutil.move(tmp_path / "own/shard-00001", tmp_path / "away")
        for _ in range(2):
            with pytest.raises(StoreCorrupt, match="shard-00001"):
                sharded.search_vectors(vectors(1, seed=1), k=3)
        shutil.move(tmp_path / "away", tmp_path / "own/shard-00001")

        assert len(sharded.search_vectors(vectors(1, seed=1), k=3).ids) == 1


def test_searches_of_several_threads_open_a_lost_process_once(made):
    with retrieval.open(made, cluster="local:1") as sharded:
        before = [sharded.search(number, k=3) for number in range(8)]
        asked = sharded._opened._asked
        opened = []
        keep = asked._kept
        asked._kept = lambda numbers: opened.append(numbers) or keep(numbers)
        os.kill(actors(sharded)[0].pid, signal.SIGKILL)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda number: sharded.search(number, k=3), range(8)))

        assert found == before
        assert len(opened) == 1


def test_shards_that_are_damaged_together_are_all_left_out(tmp_path):
    rows = vectors(1500)
    shards_of(tmp_path, [rows[:500], rows[500:1000], rows[1000:]])
    with retrieval.open(tmp_path, allow_partial=True) as sharded:
        damage(tmp_path, 0, 2)

        found = sharded.search_vectors(vectors(1, seed=1), k=3)

        assert set((found.ids[0] >> 32).tolist()) == {1}
        assert sharded.missing == ("shard-00000", "shard-00002")


def test_one_collection_is_not_kept_in_processes(tmp_path):
    retrieval.sync_vectors(tmp_path, vectors(5), list("abcde"), space="made", progress=False)

    with pytest.raises(OptionError, match="one collection"):
        retrieval.open(tmp_path, cluster="local:2")

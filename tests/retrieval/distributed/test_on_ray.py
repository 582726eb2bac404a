"""Ray runs and keeps what local processes do; a node that dies costs a build what was not committed."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time

import pytest

import retrieval
from indexes.generation import read_shards
from retrieval.distributed import open_cluster, require_alike
from retrieval.errors import WorkerLost
from tests.retrieval.distributed import work
from tests.retrieval.folders import fill

ray = pytest.importorskip("ray", reason="Ray is not installed")

NAMES = [f"{folder}/{number}.png" for folder in "abcd" for number in range(3)]


@pytest.fixture
def folder(monkeypatch):
    """Give Ray a folder for its files; its sockets need a short path."""
    place = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    monkeypatch.setenv("RETRIEVE_RAY_DIR", place)
    monkeypatch.setenv("RAY_TMPDIR", place)  # Ray's simulation of several nodes writes its address below that
    os.mkdir(os.path.join(place, "ray"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_a_ray_of_this_machine_builds_and_searches(tmp_path, folder):
    with open_cluster("ray") as cluster:
        require_alike(cluster, paths=[str(tmp_path)])
        answers = [cluster.submit(work.squared, number) for number in range(4)]
        assert [answer.get() for answer in answers] == [0, 1, 4, 9]
        with pytest.raises(ValueError, match="as it was"):
            cluster.submit(work.fail, "as it was").get()
        with pytest.raises(ValueError, match="below zero"):
            cluster.keep(work.Counter, -1)
        actor = cluster.keep(work.Counter, 3)
        assert actor.ask("add", 2, times=2).get() == 7
        with pytest.raises(WorkerLost):
            actor.ask("die").get()

        root = fill(tmp_path / "photos", NAMES)
        report = retrieval.build_index(
            root, index=tmp_path / "big", shards=2, cluster="ray", encoder="nano", progress=False
        )
        assert (report.images, report.encoded) == (12, 12)
        with (
            retrieval.open(tmp_path / "big", cluster="ray") as there,
            retrieval.open(tmp_path / "big") as here,
        ):
            assert there.search(0, k=5) == here.search(0, k=5)
            os.kill(there._opened._asked._groups[-1].actor.pid, 9)
            assert there.search(0, k=5) == here.search(0, k=5)


@pytest.mark.slow
def test_builds_go_on_when_nodes_die_at_any_moment(tmp_path, folder, monkeypatch):
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    whole = Cluster(
        initialize_head=True, head_node_args=small | {"include_dashboard": False, "temp_dir": folder}
    )
    nodes = [whole.add_node(**small) for _ in range(2)]
    monkeypatch.setenv("RAY_ADDRESS", whole.address)
    root = fill(tmp_path / "photos", [f"{name}/{number}.png" for name in "abcdefgh" for number in range(4)])
    built = []

    def build(number):
        began = time.monotonic()
        report = retrieval.build_index(
            root, index=tmp_path / f"big{number}", shards=8, cluster="ray", encoder="nano", progress=False
        )
        manifests = [shard.manifest for shard in read_shards(tmp_path / f"big{number}").shards]
        assert report.images == 32
        assert sum(one.count for one in manifests) == sum(one.live for one in manifests) == 32
        built.append(report)
        return time.monotonic() - began

    try:
        undisturbed = build("-whole")
        for seed in range(10):
            chance = random.Random(seed)
            place, moment = chance.randrange(2), chance.uniform(0, undisturbed)
            killer = threading.Timer(moment, whole.remove_node, [nodes[place]], {"allow_graceful": False})
            killer.start()
            build(seed)
            killer.join()
            nodes[place] = whole.add_node(**small)
            print(f"killed node {place} after {moment:.1f} of about {undisturbed:.1f} s: {built[-1].notes}")
        with retrieval.open(tmp_path / "big9", cluster="ray") as there:
            assert len(there.search(there.row_ids()[0], k=5)) == 5
    finally:
        ray.shutdown()
        whole.shutdown()

    assert len(built) == 11
    assert any(report.notes for report in built)  # some worker was lost

"""Ray runs and keeps what local processes do; a node that dies costs a build what was not committed."""

from __future__ import annotations

import os
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
def test_a_build_goes_on_when_a_node_dies(tmp_path, folder, monkeypatch):
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    whole = Cluster(
        initialize_head=True, head_node_args=small | {"include_dashboard": False, "temp_dir": folder}
    )
    nodes = [whole.add_node(**small) for _ in range(2)]
    monkeypatch.setenv("RAY_ADDRESS", whole.address)
    root = fill(tmp_path / "photos", [f"{name}/{number}.png" for name in "abcdefgh" for number in range(4)])
    place = tmp_path / "big"

    def kill() -> None:
        while not list(place.glob("shard-*/manifest.json")):
            time.sleep(0.05)
        whole.remove_node(nodes[0], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = retrieval.build_index(
            root, index=place, shards=8, cluster="ray", encoder="nano", progress=False
        )
        killer.join()
    finally:
        ray.shutdown()
        whole.shutdown()

    assert report.images == 32
    manifests = [shard.manifest for shard in read_shards(place).shards]
    assert sum(one.count for one in manifests) == 32

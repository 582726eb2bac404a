"""Shards are built in processes; builds whose workers are killed end with each image once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

import retrieval
from indexes.generation import read_shards
from retrieval.ingestion.sharded import build
from tests.retrieval.folders import fill

NAMES = [f"{folder}/{number}.png" for folder in "abcdefgh" for number in range(6)]


def test_shards_are_built_in_processes(tmp_path):
    root = fill(tmp_path / "photos", NAMES[:12])

    report = retrieval.build_index(
        root, index=tmp_path / "big", shards=2, cluster="local:2", encoder="nano", progress=False
    )

    assert (report.images, report.encoded) == (12, 12)
    with retrieval.open(tmp_path / "big") as sharded:
        assert len(sharded) == 12
        assert sharded.search(root / "a/0.png", k=1, include_self=True)[0].path == "a/0.png"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_build_whose_worker_is_killed_at_any_moment_ends(tmp_path, monkeypatch, seed):
    root = fill(tmp_path / "photos", NAMES)
    chance = random.Random(seed)
    clusters = []
    real = build.open_cluster
    monkeypatch.setattr(
        build,
        "open_cluster",
        lambda *args, **options: clusters.append(real(*args, **options)) or clusters[-1],
    )
    killed, ended = [], threading.Event()

    def kill() -> None:
        while not clusters or not clusters[0].pids:
            time.sleep(0.01)
        # How far the build is says a moment better than the clock, on a machine that does other things, too.
        begun = chance.randrange(1, 9)
        while len(list((tmp_path / "big").glob("shard-*"))) < begun and not ended.is_set():
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        while not (pids := clusters[0].pids) and not ended.is_set():  # between two processes
            time.sleep(0.01)
        pid = chance.choice(pids)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    report = retrieval.build_index(
        root, index=tmp_path / "big", shards=8, cluster="local:2", encoder="nano", progress=False
    )
    ended.set()
    killer.join()

    assert killed
    assert report.images == len(NAMES)
    manifests = [shard.manifest for shard in read_shards(tmp_path / "big").shards]
    assert sum(one.count for one in manifests) == sum(one.live for one in manifests) == len(NAMES)
    with retrieval.open(tmp_path / "big") as sharded:
        assert sorted(sharded) == sorted(NAMES)

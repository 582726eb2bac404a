"""Two builds of the same rows write the same index and choose the same settings, whatever else the machine does meanwhile."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import Recipe, vectors
from indexes.derivation.construction import construction, parts as shards
from indexes.derivation.derivation import derive
from indexes.engine import backend
from indexes.generation.manifest import INDEX, generation_path
from indexes.store.store import NewRow, VectorStore
from indexes.vectors.space import Space

ROWS = vectors(Recipe(rows=12_000, dim=64, clusters=200, topics=20))
SPACE = Space(name="test", dim=64, fingerprint="f" * 32, nesting=(16, 32))


class Unsteady:
    """A clock that runs as it likes, and a machine whose number of free cores changes with every look."""

    def __init__(self, seed: int, *, threads: int) -> None:
        self._rng, self._threads = np.random.default_rng(seed), threads
        self._now = 0.0

    def clock(self) -> float:
        self._now += float(self._rng.random()) ** 8
        return self._now

    def threads(self) -> int:
        return self._threads if self._threads < 3 else int(self._rng.integers(1, 4))


def built(home, monkeypatch, machine, **options):
    monkeypatch.setattr(backend, "_allowed_cores", machine.threads)
    monkeypatch.setattr(time, "perf_counter", machine.clock)
    with VectorStore.create(home, dim=64) as store:
        store.append(ROWS, [NewRow(key=b"%d" % n) for n in range(len(ROWS))])
        store.commit()
        manifest = derive(home, store, space=SPACE, encoder=None, root=None, **options)
    folder = generation_path(home, manifest.generation)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "report.json"}
    return replace(manifest.index, file=None), files


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "ivfrabitq"},
        {"kind": "ivfpq"},
        {"kind": "IVF1500_HNSW8,RaBitQfs2"},
        {"kind": "OPQ8_32,IVF64,PQ8x4fs"},
        {"kind": "auto", "dim": "auto"},
        {"kind": "ivfrabitq", "dim": "auto", "recall": 0.9},
        {"kind": "flat", "dim": 16, "recall": 0.9},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_builds_of_equal_rows_are_equal(tmp_path, monkeypatch, options):
    first, files = built(tmp_path / "a", monkeypatch, Unsteady(1, threads=1), **options)
    second, others = built(tmp_path / "b", monkeypatch, Unsteady(2, threads=3), **options)

    assert second == first
    assert {name for name in files if files[name] != others.get(name)} == set()
    assert set(files) == set(others)


def test_shards_do_not_change_what_is_chosen(tmp_path, monkeypatch):
    whole, _ = built(tmp_path / "a", monkeypatch, Unsteady(1, threads=2), kind="ivfrabitq")
    monkeypatch.setattr(shards, "SHARD_ROWS", 3000)
    monkeypatch.setattr(construction, "BLOCK", 700)
    parts, files = built(tmp_path / "b", monkeypatch, Unsteady(3, threads=3), kind="ivfrabitq")
    _, again = built(tmp_path / "c", monkeypatch, Unsteady(4, threads=1), kind="ivfrabitq")

    assert (
        parts == whole
    )  # the file of one that was filled in pieces differs: FAISS rounds blocks of few rows otherwise
    assert files[INDEX] == again[INDEX]

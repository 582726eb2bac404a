from __future__ import annotations

import subprocess

import numpy as np
import pytest

from indexes.derivation import parts
from indexes.engine import backend, flat, gpu_index, ivf
from indexes.errors import OptionError
from indexes.generation.manifest import INDEX, generation_path
from indexes.search.generation import Generation
from tests.indexes.search.test_generation import QUERIES, VECTORS, build, fill, grow, same

faiss = backend.faiss()


def copy_to(source, target):
    """Do what GpuIndexIVF.copyTo does: give ``target`` the centroids, codebooks and lists of ``source``."""
    target.reset()
    target.quantizer.reset()
    target.quantizer.add(source.quantizer.reconstruct_n(0, source.quantizer.ntotal))
    if isinstance(target, faiss.IndexIVFPQ):
        target.pq = source.pq
    target.is_trained = source.is_trained
    if source.ntotal:
        target.merge_from(faiss.clone_index(source), 0)


class FlatOnCard:
    """Rows in half precision, and products of halves, as a card's matrix units make them."""

    def __init__(self, resources, dim, config):
        assert config.useFloat16
        self.rows = np.empty((0, dim), np.float16)

    @property
    def ntotal(self):
        return len(self.rows)

    def add(self, rows):
        self.rows = np.concatenate((self.rows, rows.astype(np.float16)))

    def search(self, queries, k):
        scores = queries.astype(np.float16).astype(np.float32) @ self.rows.astype(np.float32).T
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, ids, axis=1), ids


@pytest.fixture
def card(monkeypatch):
    """Stand in for faiss-gpu with one card: the names and arguments are its, the work is the CPU's."""
    used = []

    def to_card(resources, number, index, options):
        assert number == 0
        assert options.useFloat16
        copy = faiss.clone_index(index)
        used.append(type(index).__name__)
        return copy

    class Options:
        pass

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss.IndexIVF, "copyTo", copy_to, raising=False)
    for name, value in {
        "StandardGpuResources": object, "GpuClonerOptions": Options, "GpuIndexFlatConfig": Options,
        "INDICES_64_BIT": 3, "GpuIndexFlatIP": FlatOnCard, "index_cpu_to_gpu": to_card,
    }.items():  # fmt: skip
        monkeypatch.setattr(faiss, name, value, raising=False)
    return used


@pytest.mark.parametrize(
    ("device", "expected"),
    [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", None), ("cpu", None), ("mps", None)],
)
def test_which_card_faiss_may_use(card, device, expected):
    assert backend.gpu(device) == expected


def test_without_a_card_every_device_is_the_cpu():
    assert [backend.gpu(device) for device in ("auto", "cuda", "cuda:1", "cpu")] == [None] * 4


@pytest.mark.parametrize(
    ("factory", "held"),
    [
        ("IVF8,PQ16", True),
        ("OPQ16_32,IVF8,PQ16", True),
        ("IVF8,Flat", True),
        ("IVF8,SQfp16", True),
        ("IVF8,PQ16x4fs", False),
        ("RR,IVF8,RaBitQfs", False),
        ("IVF8,PQ16x4", False),
        ("HNSW8,Flat", False),
    ],
)
def test_what_a_card_can_hold(factory, held):
    assert gpu_index.holds(ivf.make(factory, dim=32)) is held


@pytest.mark.parametrize("kind", ["ivfpq", "OPQ16_32,IVF16,PQ16", "IVF16,SQfp16"])
@pytest.mark.parametrize("shard_rows", [1 << 20, 1000])
def test_what_a_card_trains_and_encodes_is_an_ordinary_index(tmp_path, card, monkeypatch, kind, shard_rows):
    monkeypatch.setattr(parts, "SHARD_ROWS", shard_rows)
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind=kind, device="cuda")

    assert card
    index = ivf.load(generation_path(tmp_path, manifest.generation) / INDEX)
    assert index.ntotal == 2000
    with Generation.open(tmp_path, manifest) as opened:
        same(
            opened.search(QUERIES, k=10, nprobe=10**6, shortlist=2000),
            flat.exact(opened.rows, QUERIES, k=10),
        )


def test_a_card_serves_what_it_can_hold_and_the_rest_stays(tmp_path, card):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="ivfpq")
    card.clear()
    keep = np.arange(2000) % 2 == 0
    with (
        Generation.open(tmp_path, manifest) as cpu,
        Generation.open(tmp_path, manifest, device="cuda") as there,
    ):
        same(there.search(QUERIES, k=10), cpu.search(QUERIES, k=10))
        assert card == ["IndexIVFPQ"]
        same(there.search(QUERIES, k=10, keep=keep), cpu.search(QUERIES, k=10, keep=keep))
        same(there.search(QUERIES, k=10, shortlist=4000), cpu.search(QUERIES, k=10, shortlist=4000))
        assert card == ["IndexIVFPQ"]  # copied once
    grow(tmp_path, 2000, 2100)
    with Generation.open(tmp_path, build(tmp_path), device="cuda") as there:
        np.testing.assert_array_equal(there.search(VECTORS[2000:2100], k=1).ids[:, 0], np.arange(2000, 2100))


def test_a_card_has_nothing_for_rabitq(tmp_path, card):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="ivfrabitq", device="cuda")
    with (
        Generation.open(tmp_path, manifest) as cpu,
        Generation.open(tmp_path, manifest, device="cuda") as there,
    ):
        same(there.search(QUERIES, k=10), cpu.search(QUERIES, k=10))
    assert card == []


@pytest.mark.parametrize("k", [1, 10, 100])
def test_exact_search_on_a_card_is_exact(tmp_path, card, k):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="flat")
    with Generation.open(tmp_path, manifest, device="cuda") as opened:
        same(opened.search(QUERIES, k=k), flat.exact(opened.rows, QUERIES, k=k))
        assert opened._every._card.get()._exact._index.ntotal == 2000


def test_rows_that_tie_by_the_thousand_go_to_the_cpu(card):
    rows = np.repeat(VECTORS[:1], 3000, axis=0).astype(np.float16)

    assert gpu_index.ExactOnGpu(rows, device=0).candidates(VECTORS[:1], k=10) is None
    assert gpu_index.Card(0, rows).exact(VECTORS[:1], k=10) is None


def test_rows_that_do_not_fit_the_card_stay(card, monkeypatch):
    monkeypatch.setattr(gpu_index, "free_memory", lambda device: 1000)

    assert gpu_index.Card(0, VECTORS[:100].astype(np.float16)).exact(QUERIES, k=1) is None


def test_free_memory_is_what_nvidia_smi_says(monkeypatch):
    answer = subprocess.CompletedProcess([], 0, stdout="81002\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: answer)
    assert gpu_index.free_memory(0) == 81002 << 20

    def missing(command, **_):
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(subprocess, "run", missing)
    assert gpu_index.free_memory(0) is None


def test_an_index_that_does_not_fit_the_card_is_served_by_the_cpu(tmp_path, card, monkeypatch):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="ivfpq")

    def full(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(faiss, "index_cpu_to_gpu", full, raising=False)
    with (
        Generation.open(tmp_path, manifest) as cpu,
        Generation.open(tmp_path, manifest, device="cuda") as there,
    ):
        same(there.search(QUERIES, k=10), cpu.search(QUERIES, k=10))


def test_a_card_that_fails_is_named_with_the_way_out(tmp_path, card, monkeypatch):
    fill(tmp_path, 0, 2000)

    def full(*_):
        raise RuntimeError("Error in alloc at StandardGpuResources.cpp: out of memory")

    monkeypatch.setattr(faiss, "index_cpu_to_gpu", full, raising=False)
    with pytest.raises(OptionError, match=r"GPU 0: .*out of memory; .*`device=\"cpu\"`"):
        build(tmp_path, kind="ivfpq", device="cuda")

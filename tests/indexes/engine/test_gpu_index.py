from __future__ import annotations

import ctypes

import numpy as np
import pytest

from indexes.derivation.construction import parts
from indexes.engine import backend, chain, cuda_driver, flat, gpu_index, ivf
from indexes.errors import OptionError
from indexes.generation.manifest import INDEX, generation_path
from indexes.search.generation import Generation
from tests.indexes.engine import faiss_gpu
from tests.indexes.search.test_generation import QUERIES, VECTORS, build, fill, grow, same

faiss = backend.faiss()


@pytest.fixture
def card(monkeypatch):
    """Stand in for faiss-gpu with one card."""
    faked = faiss_gpu.Faked()
    faked.install(monkeypatch)
    return faked.used


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
        ("IVF8_HNSW8,PQ16", True),
        ("IVF8_HNSW8,Flat", True),
        ("IVF8,SQ4", True),
        ("IVF8,SQ6", False),
        ("IVF8,SQbf16", False),
        ("IVF8,PQ32", True),
    ],
)
def test_what_a_card_can_hold(factory, held):
    assert gpu_index.holds(ivf.make(factory, dim=32)) is held


@pytest.mark.parametrize(
    "factory",
    ["IVF8,PQ16", "IVF8,PQ32", "IVF8_HNSW8,PQ16", "IVF8_HNSW8,Flat", "IVF8_HNSW8,SQ8", "RR,IVF8_HNSW8,PQ16"],
)
def test_what_it_holds_faiss_gpu_takes(card, factory):
    """The stand-in refuses what faiss-gpu refuses, such as a coarse quantiser that is not flat."""
    index = ivf.make(factory, dim=32)
    assert gpu_index.holds(index)
    gpu_index.train(index, VECTORS[:1500], device=0)
    gpu_index.add(index, [(np.arange(1500), VECTORS[:1500])], device=0)

    assert index.ntotal == ivf.innermost(index).ntotal == 1500
    served = gpu_index.served(index, device=0)
    expected = index.search(QUERIES, 10, params=ivf.parameters(index, nprobe=8, shortlist=10))
    found = served.search(QUERIES, 10, params=ivf.parameters(served, nprobe=8, shortlist=10))
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_graph_of_centroids_stays_one_after_a_card_trained(card):
    index = ivf.make("IVF8_HNSW8,PQ16", dim=32)
    gpu_index.train(index, VECTORS[:1500], device=0)
    quantizer = faiss.downcast_index(index.quantizer)

    assert isinstance(quantizer, faiss.IndexHNSW)
    assert (quantizer.ntotal, index.is_trained) == (8, True)
    assert card == ["IndexIVFPQ"]


@pytest.mark.parametrize("factory", ["HR,IVF8,RaBitQfs", "IVF8,PQ16x4fs", "IVF8_HNSW8,RaBitQfs"])
def test_centroids_and_lists_of_other_inverted_files_are_found_on_the_card(card, factory):
    index = ivf.make(factory, dim=32)
    gpu_index.train(index, VECTORS[:1500], device=0)
    assert card == ["flat"]
    rows = np.concatenate([VECTORS[:1500]] * 3)
    gpu_index.add(index, [(np.arange(4500), rows)], device=0)
    assert card == ["flat", "flat"]

    inner = ivf.innermost(index)
    ids, places = ivf.ids_of_lists(index)
    lists = np.empty(4500, np.int64)
    for number in range(8):
        lists[ids[places[number] : places[number + 1]]] = number
    turned = chain.apply(index, rows)
    centroids = inner.quantizer.reconstruct_n(0, 8)
    np.testing.assert_array_equal(lists, (turned @ centroids.T).argmax(axis=1))
    assert inner.clustering_index is None


def test_faiss_gpu_refuses_what_the_stand_in_refuses(card):
    for factory, reason in [
        ("IVF8_HNSW8,Flat", "coarse"),
        ("IVF8,PQ16x4fs", "not implemented"),
        ("IVF8,RaBitQ", "not implemented"),
        ("HNSW8", "not implemented"),
        ("IVF8,SQ6", "scalar"),
    ]:
        with pytest.raises(RuntimeError, match=reason):
            gpu_index.moved(faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT), 0)
    with pytest.raises(RuntimeError, match="Invalid GPU device 1"):
        gpu_index.moved(faiss.index_factory(32, "IVF8,Flat"), 1)


def test_an_index_on_a_card_refuses_what_no_card_does(card):
    here = faiss.index_factory(32, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    here.train(VECTORS[:500])
    here.add(VECTORS[:500])
    there = gpu_index.moved(here, 0)
    selector = faiss.IDSelectorRange(0, 10)
    for reason, asked in [
        ("up to 2048", lambda: there.search(QUERIES, 2049)),
        ("IDSelector", lambda: there.search(QUERIES, 3, params=faiss.SearchParametersIVF(sel=selector))),
        ("nprobe", lambda: there.search(QUERIES, 3, params=faiss.SearchParametersIVF(nprobe=4096))),
        ("range_search", lambda: there.range_search(QUERIES, 0.5)),
        ("remove_ids", lambda: there.remove_ids(selector)),
        ("merge_from", lambda: there.merge_from(here, 0)),
    ]:
        with pytest.raises(RuntimeError, match=reason):
            asked()
    assert here.remove_ids(selector) == 10  # the one on the CPU does


@pytest.mark.parametrize("kind", ["ivfpq", "OPQ16_32,IVF16,PQ16", "IVF16,SQfp16", "IVF16_HNSW8,PQ16"])
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


def test_a_card_serves_no_rabitq(tmp_path, card):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="ivfrabitq", device="cuda")
    with (
        Generation.open(tmp_path, manifest) as cpu,
        Generation.open(tmp_path, manifest, device="cuda") as there,
    ):
        same(there.search(QUERIES, k=10), cpu.search(QUERIES, k=10))
    assert card == ["flat"]  # k-means


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


class Driver:
    """The CUDA driver of a machine with cards, as this process sees them."""

    def __init__(self, *free, fails=""):
        self.free, self.fails, self.calls = free, fails, []

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append(name)
            if name == self.fails:
                return 2
            if name == "cuDeviceGetCount":
                arguments[0]._obj.value = len(self.free)
            if name == "cuDeviceGet":
                if arguments[1] >= len(self.free):
                    return 101
                arguments[0]._obj.value = self.chosen = arguments[1]
            if name == "cuMemGetInfo_v2":
                arguments[0]._obj.value = self.free[self.chosen]
            return 0

        return call


def test_free_memory_is_that_of_the_card_that_this_process_sees(monkeypatch):
    driver = Driver(5 << 30, 7 << 30)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)

    assert [cuda_driver.free_memory(number) for number in (0, 1, 2)] == [5 << 30, 7 << 30, None]
    assert cuda_driver.cuda_devices() == 2
    assert driver.calls.count("cuDevicePrimaryCtxRetain") == driver.calls.count(
        "cuDevicePrimaryCtxRelease_v2"
    )


@pytest.mark.parametrize(
    "fails", ["cuInit", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2", "cuMemGetInfo_v2"]
)
def test_a_driver_that_fails_tells_nothing(monkeypatch, fails):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(5 << 30, fails=fails))

    assert cuda_driver.free_memory(0) is None


def test_without_a_driver_there_are_no_cards(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)

    assert cuda_driver.free_memory(0) is None
    assert cuda_driver.cuda_devices() == 0


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

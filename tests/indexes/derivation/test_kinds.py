"""Which kind of index is built, as asked for or by size and device."""

from __future__ import annotations

import pytest

from indexes.derivation import build_plan
from indexes.engine import backend
from tests.indexes.derivation.published import check, index_file
from tests.indexes.search.test_generation import build, fill, grow


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_for_a_kind_are_searched_exactly_and_it_is_said_why(tmp_path, rows):
    fill(tmp_path, 0, rows)
    info = build(tmp_path, kind="ivfpq").index

    assert info.kind == "flat"
    assert "too few" in info.recall_reason


def test_the_kind_asked_for_comes_when_there_are_rows_enough(tmp_path):
    fill(tmp_path, 0, 100)
    assert build(tmp_path, kind="ivfrabitq").index.kind == "flat"
    grow(tmp_path, 100, 1000)

    assert build(tmp_path).index.kind == "ivfrabitq"


def test_another_kind_is_built_when_asked_for(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    manifest = build(tmp_path, kind="IVF8,SQ8")
    assert (manifest.index.kind, manifest.index.factory) == ("factory", "IVF8,SQ8")
    check(tmp_path, manifest)
    assert build(tmp_path).index.factory == "IVF8,SQ8"  # its own choice from now on
    manifest = build(tmp_path, kind="flat")

    assert manifest.index.kind == "flat"
    assert not index_file(tmp_path).exists()
    check(tmp_path, manifest)


def test_a_prefix_first_stage(tmp_path):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="ivfrabitq", dim=16)

    assert manifest.index.dim == 16
    check(tmp_path, manifest)
    grow(tmp_path, 2000, 2300)
    manifest = build(tmp_path)
    assert manifest.index.dim == 16
    check(tmp_path, manifest)


@pytest.mark.parametrize(
    ("rows", "device", "previous", "expected"),
    [
        (50_000, "cpu", None, "flat"),
        (50_001, "cpu", None, "ivfrabitq"),
        (50_001, "cuda", None, "ivfpq"),
        (50_001, "auto", None, "ivfpq"),
        (50_001, "cuda:2", None, "ivfrabitq"),  # torch may see more of them than faiss
        (50_001, "cuda:1", "flat", "ivfpq"),
        (40_000, "cpu", "ivfpq", "ivfpq"),
        (20_000, "cpu", "ivfrabitq", "flat"),
    ],
)
def test_auto_chooses_by_size_and_device_and_does_not_waver(rows, device, previous, expected, monkeypatch):
    monkeypatch.setattr(backend.faiss(), "get_num_gpus", lambda: 2)
    assert build_plan.plan(rows, 64, kind="auto", device=device, previous=previous).kind == expected


def test_auto_moves_a_grown_collection_to_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 1500)
    fill(tmp_path, 0, 1000)
    assert build(tmp_path).index.kind == "flat"
    grow(tmp_path, 1000, 2000)

    assert build(tmp_path).index.kind == "ivfrabitq"


def test_flat_that_was_asked_for_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 500)
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="flat")
    grow(tmp_path, 1000, 1100)

    assert build(tmp_path).index.kind == "flat"


@pytest.mark.parametrize("first", ["flat", None])
def test_a_kind_that_changes_nothing_now_decides_later(tmp_path, monkeypatch, first):
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 500)
    fill(tmp_path, 0, 100)
    build(tmp_path, kind=first)
    manifest = build(tmp_path, kind="auto" if first else "flat")
    assert build(tmp_path) == manifest  # nothing else to say
    grow(tmp_path, 100, 1000)

    assert build(tmp_path).index.kind == ("ivfrabitq" if first else "flat")


def test_a_recall_asked_of_exact_search_is_kept_for_later(tmp_path):
    fill(tmp_path, 0, 100)
    build(tmp_path)

    assert build(tmp_path, recall=0.9).index.recall_target == 0.9
    assert build(tmp_path).index.recall_target == 0.9


def test_an_outgrown_index_is_trained_again(tmp_path):
    fill(tmp_path, 0, 300)
    small = build(tmp_path, kind="ivfrabitq").index
    grow(tmp_path, 300, 4000)
    large = build(tmp_path).index

    assert (small.factory, large.factory) == ("HR,IVF7,RaBitQfs", "HR,IVF64,RaBitQfs")


@pytest.mark.parametrize(
    "kind", ["IVF16,PQ4", "PQ4", "HNSW8_PQ4", "NSG8_PQ4", "LSH", "OPQ4,IVF16,PQ4", "IVF16,SQ8"]
)
def test_codes_compared_by_another_metric_are_told(tmp_path, kind):
    fill(tmp_path, 0, 1500)
    said = []
    build(tmp_path, kind=kind, progress=lambda event: said.append(event.message))
    told = [message for message in said if "compared by L2 distance" in message]

    by_product = {"IVF16,PQ4", "PQ4", "OPQ4,IVF16,PQ4", "IVF16,SQ8"}
    assert told == ([] if kind in by_product else [told[0]])
    assert all(message.startswith(f"{kind}: ") for message in told)


def test_a_gpu_that_is_not_there_is_told(tmp_path):
    fill(tmp_path, 0, 1500)
    said = []
    build(tmp_path, kind="ivfrabitq", device="cuda:7", progress=lambda event: said.append(event.message))

    assert "cuda:7: faiss can use no such GPU, so the index is built on the CPU" in said
    for device in ("auto", "cpu"):
        said.clear()
        build(tmp_path, kind="ivfpq" if device == "cpu" else "ivfrabitq", device=device,
              progress=lambda event: said.append(event.message))  # fmt: skip
        assert not [message for message in said if "GPU" in message]

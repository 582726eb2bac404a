from __future__ import annotations

import json

import numpy as np
import pytest

from indexes.derivation import build_plan
from indexes.derivation.construction import construction, parts
from indexes.derivation.derivation import derive
from indexes.engine import ivf
from indexes.errors import OptionError, StoreFull
from indexes.generation.manifest import INDEX, generation_path
from indexes.search.generation import Generation
from indexes.store.store import VectorStore
from tests.indexes.search.test_generation import QUERIES, SPACE, build, fill

KINDS = ["ivfrabitq", "ivfpq", "OPQ8_32,IVF16,PQ8", "IVF16,PQ16x4fs", "IVF16,SQfp16", "IVF16_HNSW8,RaBitQfs2"]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(parts, "SHARD_ROWS", 400)
    monkeypatch.setattr(construction, "BLOCK", 150)


def published(home, manifest):
    return ivf.load(generation_path(home, manifest.generation) / INDEX)


def listed(index):
    """Return the ids in each list: the same centroids put the same rows there."""
    lists = ivf.innermost(index).invlists
    found = []
    for number in range(lists.nlist):
        size = lists.list_size(number)
        pointer = lists.get_ids(number)
        found.append(sorted(ivf.faiss().rev_swig_ptr(pointer, size).tolist()) if size else [])
        lists.release_ids(number, pointer)
    return found


@pytest.mark.parametrize(
    ("kind", "dim"), [*((kind, None) for kind in KINDS), ("ivfrabitq", 16), ("ivfpq", 16)]
)
def test_shards_make_the_index_that_one_piece_makes(tmp_path, monkeypatch, kind, dim):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    for home in (whole, pieces):
        fill(home, 0, 1500)
    one = build(whole, kind=kind, dim=dim)
    monkeypatch.setattr(parts, "SHARD_ROWS", 400)
    many = build(pieces, kind=kind, dim=dim)

    assert listed(published(pieces, many)) == listed(published(whole, one))
    with Generation.open(whole, one) as first, Generation.open(pieces, many) as second:
        expected = first.search(QUERIES, k=10, nprobe=16, shortlist=1500)
        found = second.search(QUERIES, k=10, nprobe=16, shortlist=1500)
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)
    assert not (pieces / parts.BUILDING).exists()


class Stopped(Exception):
    """A build is killed here."""


def stop_after(rows):
    def progress(event):
        if event.phase == "add" and event.done >= rows:
            raise Stopped

    return progress


def build_watched(home, progress, **options):
    with VectorStore.open(home, dim=SPACE.dim, writable=True) as store:
        return derive(home, store, space=SPACE, encoder=None, root=None, progress=progress, **options)


def test_a_killed_build_goes_on_with_its_training_and_its_shards(tmp_path, small, monkeypatch):
    fill(tmp_path, 0, 1500)
    with pytest.raises(Stopped):
        build_watched(tmp_path, stop_after(900), kind="ivfrabitq")
    finished = sorted(path.name for path in (tmp_path / parts.BUILDING).glob("*-*.faiss"))
    assert finished == ["0-400.faiss", "400-800.faiss"]

    added = []
    add = ivf.add
    monkeypatch.setattr(
        ivf, "add", lambda index, blocks: add(index, (added.append(ids[0]) or (ids, x) for ids, x in blocks))
    )
    monkeypatch.setattr(ivf, "train", lambda index, sample: pytest.fail("trained again"))
    manifest = build(tmp_path, kind="ivfrabitq")

    assert min(added) == 800
    assert published(tmp_path, manifest).ntotal == 1500
    assert manifest.index.recall_at_10 >= 0.95
    assert not (tmp_path / parts.BUILDING).exists()


def test_shards_of_another_index_or_other_rows_are_not_used(tmp_path, small):
    fill(tmp_path, 0, 1500)
    with pytest.raises(Stopped):
        build_watched(tmp_path, stop_after(900), kind="ivfrabitq")
    building = tmp_path / parts.BUILDING
    made = json.loads((building / "recipe.json").read_text())
    rows = np.fromfile(tmp_path / "rerank.f16", np.float16).reshape(-1, SPACE.dim)

    assert parts.started(building, rows, factory=made["factory"], dim=SPACE.dim) is not None
    assert parts.started(building, rows, factory="IVF9,Flat", dim=SPACE.dim) is None
    assert parts.started(building, rows[:500], factory=made["factory"], dim=SPACE.dim) is None
    assert parts.started(building, -rows, factory=made["factory"], dim=SPACE.dim) is None
    assert parts.started(tmp_path / "none", rows, factory=made["factory"], dim=SPACE.dim) is None


def test_a_damaged_shard_or_training_is_made_again(tmp_path, small):
    fill(tmp_path, 0, 1500)
    with pytest.raises(Stopped):
        build_watched(tmp_path, stop_after(900), kind="ivfrabitq")
    (tmp_path / parts.BUILDING / "0-400.faiss").write_bytes(b"torn")
    with pytest.raises(Stopped):
        build_watched(tmp_path, stop_after(900), kind="ivfrabitq")
    (tmp_path / parts.BUILDING / "trained.faiss").write_bytes(b"torn")

    manifest = build(tmp_path, kind="ivfrabitq")

    assert published(tmp_path, manifest).ntotal == 1500


def test_a_full_disk_keeps_the_shards_that_are_finished(tmp_path, small, monkeypatch):
    fill(tmp_path, 0, 1500)
    save = ivf.save

    def full(index, path):
        if "800-1200" in path.name:
            raise OSError(28, "No space left on device")
        save(index, path)

    monkeypatch.setattr(ivf, "save", full)
    with pytest.raises(StoreFull):
        build(tmp_path, kind="ivfrabitq")

    assert (tmp_path / parts.BUILDING / "400-800.faiss").exists()


def test_a_plan_that_does_not_fit_the_disk_is_refused_before_it_starts(tmp_path, monkeypatch):
    fill(tmp_path, 0, 1500)
    monkeypatch.setattr(
        build_plan.shutil, "disk_usage", lambda path: build_plan.shutil._ntuple_diskusage(9, 8, 1000)
    )

    with pytest.raises(OptionError, match=r"MiB are free in"):
        build(tmp_path, kind="ivfrabitq")

    assert build(tmp_path, kind="flat").index.kind == "flat"

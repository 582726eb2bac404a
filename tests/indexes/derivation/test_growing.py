"""Rows that come and go are a tail, a merge or tombstones, without training."""

from __future__ import annotations

import os

import numpy as np
import pytest

from indexes.derivation.derivation import publish_tail
from indexes.engine import ivf
from indexes.search.generation import Generation
from indexes.store.store import NewRow, VectorStore
from tests.indexes.derivation.published import KINDS, check, index_file
from tests.indexes.search.test_generation import SPACE, VECTORS, build, fill, grow


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changed_nothing_published(tmp_path, kind):
    fill(tmp_path, 0, 1000)
    first = build(tmp_path, kind=kind)

    assert build(tmp_path) == first
    assert build(tmp_path, kind=kind) == first
    assert sorted(os.listdir(tmp_path / "generations")) == ["0001"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_changed_is_published_and_nothing_else_is(tmp_path, kind):
    fill(tmp_path, 0, 1000)
    first = build(tmp_path, kind=kind)
    rename(tmp_path, 7, b"seven")
    second = build(tmp_path)

    assert (second.generation, second.index) == (2, first.index)
    assert key(tmp_path, second, 7) == b"seven"
    assert build(tmp_path) == second
    check(tmp_path, second)


def test_a_key_that_changed_is_published_by_a_build_that_is_interrupted(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path)
    rename(tmp_path, 7, b"seven")
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        manifest = publish_tail(tmp_path, store, space=SPACE, encoder=None, root=None)

    assert key(tmp_path, manifest, 7) == b"seven"


def rename(directory, number, name):
    with VectorStore.open(directory, dim=32, writable=True) as store:
        store.rename(number, name, b"")
        store.commit()


def key(directory, manifest, number):
    with Generation.open(directory, manifest) as opened:
        (found,) = opened.keys().keys(np.array([number]))
    return found


def test_few_new_rows_become_a_tail_beside_the_same_file(tmp_path):
    fill(tmp_path, 0, 2000)
    first = build(tmp_path, kind="ivfrabitq")
    before = index_file(tmp_path).stat()
    grow(tmp_path, 2000, 2100, dead=[3, 2050])
    second = build(tmp_path)

    assert os.path.samestat(before, index_file(tmp_path).stat())
    assert second.index.base_rows == 2000
    assert (second.count, second.live, second.generation) == (2100, 2098, 2)
    assert second.index.recall_at_10 == first.index.recall_at_10
    assert second.created == first.created
    check(tmp_path, second)


def test_only_tombstones_change_only_their_file(tmp_path):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind="ivfrabitq")
    before = index_file(tmp_path).stat()
    grow(tmp_path, 2000, 2000, dead=range(50))
    manifest = build(tmp_path)

    assert os.path.samestat(before, index_file(tmp_path).stat())
    check(tmp_path, manifest)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_long_tail_is_merged_without_training(tmp_path, kind, monkeypatch):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind=kind)
    monkeypatch.setattr(ivf, "train", None)
    grow(tmp_path, 2000, 2300, dead=[1, 2, 2100])
    manifest = build(tmp_path)

    assert manifest.index.base_rows == 2300
    check(tmp_path, manifest)


def test_many_tombstones_leave_the_index(tmp_path, monkeypatch):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind="ivfrabitq")
    monkeypatch.setattr(ivf, "train", None)
    grow(tmp_path, 2000, 2000, dead=range(0, 2000, 5))
    manifest = build(tmp_path)

    assert ivf.open_mapped(index_file(tmp_path)).ntotal == 1600
    assert manifest.live == 1600
    check(tmp_path, manifest)
    before = index_file(tmp_path).stat()
    grow(tmp_path, 2000, 2000, dead=[1])
    build(tmp_path)
    assert os.path.samestat(before, index_file(tmp_path).stat())  # those that left do not count again


def test_rows_tombstoned_before_the_first_build_never_enter(tmp_path):
    fill(tmp_path, 0, 1000, dead=range(500))
    manifest = build(tmp_path, kind="ivfrabitq")

    assert ivf.open_mapped(index_file(tmp_path)).ntotal == 500
    check(tmp_path, manifest)


def test_a_superseded_row_gives_way_to_the_new_one(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        store.append(VECTORS[3000:3001], [NewRow(key=b"5")])
        store.commit()
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        found = opened.search(np.stack([VECTORS[5], VECTORS[3000]]), k=1, nprobe=10**6, shortlist=1000)

    assert found.ids[0, 0] != 5
    assert found.ids[1, 0] == 1000

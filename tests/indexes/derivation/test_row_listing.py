"""Rows behind a large index are listed by its lists, found as if they were in it, and merged when they are many."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.derivation import recent_publish, row_listing
from indexes.derivation.construction import construction
from indexes.derivation.recent_publish import publish_rows
from indexes.engine import flat
from indexes.generation import (
    HAND,
    ROW_LISTS,
    RowLists,
    Source,
    further_files,
    further_name,
    generation_path,
    listed_rows,
    open_row_lists,
    read_manifest,
)
from indexes.search.generation import Generation
from indexes.search.searchers import exact
from indexes.store.store import VectorStore
from indexes.vectors import recall_at_k
from tests.indexes.derivation.published import check, index_file
from tests.indexes.search.test_generation import QUERIES, SPACE, VECTORS, build, fill, grow

BASE, KINDS = 2_000, ["ivfrabitq", "ivfpq", "IVF16,SQ8"]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Take fifty rows for many."""
    monkeypatch.setattr(row_listing, "TAIL_ROWS", 50)
    monkeypatch.setattr(recent_publish, "TAIL_ROWS", 50)
    monkeypatch.setattr(row_listing, "_COMPARED", 10_000)


def listed(manifest):
    return further_files(manifest.files, ROW_LISTS)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_beyond_the_tail_are_listed_and_the_index_stays(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(construction.Construction, "merge", None)
    monkeypatch.setattr(exact, "ROWS", 20)  # so that filters are asked of the lists
    fill(tmp_path, 0, BASE)
    first = build(tmp_path, kind=kind)
    file = index_file(tmp_path).stat().st_ino
    for start, stop in ((BASE, 2200), (2200, 2260), (2260, 2300)):
        grow(tmp_path, start, stop, dead=[start - 1000, start + 5])
        manifest = build(tmp_path)
        check(tmp_path, manifest)
    assert index_file(tmp_path).stat().st_ino == file
    assert (manifest.index, manifest.count, listed_rows(manifest)) == (first.index, 2300, 2260)
    assert listed(manifest) == [2000, 2200]  # the last forty rows are compared with every query

    with Generation.open(tmp_path, manifest) as opened:
        one = [opened.search(query[np.newaxis], k=10) for query in QUERIES]
        together = opened.search(QUERIES, k=10)
        assert np.array_equal(np.concatenate([found.ids for found in one]), together.ids)
        scores = np.concatenate([found.scores for found in one])
        np.testing.assert_allclose(scores, together.scores, atol=1e-6)
        itself = opened.search(VECTORS[2000:2300], k=1).ids[:, 0]
        live = ~np.isin(np.arange(2000, 2300), [2005, 2205, 2265])
        assert np.array_equal(itself == np.arange(2000, 2300), live)
        keep = np.random.default_rng(0).random(2300) < 0.3
        found = opened.search(QUERIES, k=10, keep=keep, nprobe=10**6, shortlist=2300)
        expected = flat.exact(opened.rows, QUERIES, k=10, keep=keep & opened.live)
        assert np.array_equal(found.ids, expected.ids)
        few = np.zeros(2300, np.bool_)
        few[[3, 2001, 2100, 2210, 2290]] = True
        found = opened.search(QUERIES, k=10, keep=few)
        assert [set(ids) for ids in found.ids.tolist()] == [{3, 2001, 2100, 2210, 2290, -1}] * len(QUERIES)


def test_fewer_lists_probed_than_there_are_rows_wanted_still_gives_as_many(tmp_path, monkeypatch):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="IVF16,SQ8")
    grow(tmp_path, BASE, 2200)
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        found = opened.search(QUERIES[:5], k=2200, nprobe=1)
        assert [sorted(ids) for ids in found.ids.tolist()] == [list(range(2200))] * 5


def test_listed_rows_are_merged_when_they_are_a_fourth_of_the_base(tmp_path):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2400)
    assert listed(build(tmp_path)) == [2000]
    grow(tmp_path, 2400, 2600)
    manifest = build(tmp_path)
    assert (listed(manifest), manifest.index.base_rows) == ([], 2600)
    check(tmp_path, manifest)


def test_rows_are_merged_sooner_where_a_query_would_compare_many(tmp_path, monkeypatch):
    monkeypatch.setattr(row_listing, "_COMPARED", 1)
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2300)
    assert listed(build(tmp_path)) == []


def test_a_small_base_takes_its_rows_in(tmp_path, monkeypatch):
    monkeypatch.setattr(row_listing, "TAIL_ROWS", 250)
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2300)
    assert listed(build(tmp_path)) == []


def test_rows_are_published_beside_those_that_are_listed(tmp_path):
    from indexes.derivation.derivation import derive

    sources = (Source(), Source(type=HAND, number=1))
    fill(tmp_path, 0, BASE)
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        derive(tmp_path, store, space=SPACE, encoder=None, sources=sources, kind="ivfrabitq")
    for start, stop in ((BASE, 2060), (2060, 2100)):
        grow(tmp_path, start, stop)
        with VectorStore.open(tmp_path, dim=32, writable=True) as store:
            beside = publish_rows(tmp_path, store)
            assert (beside is None) == (start == BASE)
            if beside is None:
                derive(tmp_path, store, space=SPACE, encoder=None, sources=sources)
    manifest = read_manifest(tmp_path)
    assert (manifest.version, listed(manifest), listed_rows(manifest)) == ((2, 1), [2000], 2060)
    check(tmp_path, manifest)


def test_a_shard_compares_the_listed_rows_of_the_lists_probed(tmp_path, monkeypatch):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2300, dead=[2007])
    grow(tmp_path, 2300, 2340)
    none = np.full((len(QUERIES), 1), -1)
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        found = opened.scored(QUERIES, none, k=3, unlisted=True)
        itself = opened.scored(VECTORS[2000:2340], none[:1].repeat(340, axis=0), k=1, unlisted=True)
        keep = opened.live & (np.arange(2340) >= BASE)
        expected = flat.exact(opened.rows, QUERIES, k=3, keep=keep)
    assert recall_at_k(found.ids, expected.ids) > 0.8  # 0.97 as it is
    assert np.array_equal(itself.ids[:, 0] == np.arange(2000, 2340), keep[2000:])


def test_damaged_lists_are_made_again(tmp_path):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2200)
    manifest = build(tmp_path)
    path = generation_path(tmp_path, manifest.generation) / further_name(ROW_LISTS, 2000)
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.unlink()
    path.write_bytes(data)
    grow(tmp_path, 2200, 2210)
    manifest = build(tmp_path)
    check(tmp_path, manifest)
    assert sum(map(len, open_row_lists(tmp_path, manifest))) == 210


def test_an_earlier_version_compares_listed_rows(tmp_path, monkeypatch):
    """It does not know these files: to it all rows behind the base are a tail."""
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2200)
    manifest = build(tmp_path)
    assert manifest.format == 3
    monkeypatch.setattr(Generation, "_row_lists", lambda _self: [])
    check(tmp_path, manifest)


def test_a_table_gives_each_row_of_the_lists_asked_for():
    lists = np.random.default_rng(0).integers(0, 9, 200).astype(np.uint32)
    table = RowLists.of(1_000, lists)
    assert np.array_equal(table.lists(), lists)
    for probed in ([3], [8, 0, 2], [7, 100], list(range(9)), []):
        found = table.among(np.array(probed, np.int64))
        assert sorted(found.tolist()) == (np.flatnonzero(np.isin(lists, probed)) + 1_000).tolist()

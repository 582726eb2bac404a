"""Rows behind a large index are encoded in segments, found as if they were in it, and merged when they are many."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from indexes.derivation import recent_publish, recent_segments
from indexes.derivation.construction import construction
from indexes.derivation.derivation import publish_tail
from indexes.derivation.recent_publish import publish_rows
from indexes.engine import faiss, flat, ivf, refined, segments
from indexes.errors import StoreCorrupt
from indexes.generation import (
    HAND,
    Source,
    generation_path,
    indexed_rows,
    read_manifest,
    segment_files,
)
from indexes.search import generation
from indexes.search.generation import Generation
from indexes.search.searchers import exact
from indexes.store.store import VectorStore
from indexes.vectors import recall_at_k
from tests.indexes.derivation.published import check, index_file
from tests.indexes.search.test_generation import QUERIES, SPACE, VECTORS, build, fill, grow

BASE = 2_000
KINDS = ["ivfrabitq", "RR,IVF16,RaBitQfs2", "IVF16_HNSW32,SQ8", "IVF16,PQ4x4fs", "IVF16,PQ2"]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Take fifty rows for many."""
    monkeypatch.setattr(recent_segments, "TAIL_ROWS", 50)
    monkeypatch.setattr(recent_segments, "SEGMENT_ROWS", 50)
    monkeypatch.setattr(recent_publish, "TAIL_ROWS", 50)


def with_a_segment(home, *, kind):
    """Publish rows behind a base, and return the manifest and the segment's file."""
    fill(home, 0, BASE)
    build(home, kind=kind)
    grow(home, BASE, 2200)
    manifest = build(home)
    return manifest, generation_path(home, manifest.generation) / segment_files(manifest)[0].name


def rows_of(manifest):
    return [(file.first, file.end) for file in segment_files(manifest)]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_beyond_the_tail_are_encoded_and_the_index_stays(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(construction.Construction, "merge", None)
    monkeypatch.setattr(exact, "ROWS", 20)  # so that filters are asked of the codes
    fill(tmp_path, 0, BASE)
    first = build(tmp_path, kind=kind)
    file = index_file(tmp_path).stat().st_ino
    for start, stop in ((BASE, 2200), (2200, 2260), (2260, 2300)):
        grow(tmp_path, start, stop, dead=[start - 1000, start + 5])
        manifest = build(tmp_path)
        check(tmp_path, manifest)
    assert index_file(tmp_path).stat().st_ino == file
    assert (manifest.index, manifest.count, indexed_rows(manifest)) == (first.index, 2300, 2260)
    assert rows_of(manifest) == [
        (2000, 2200),
        (2200, 2260),
    ]  # the last forty rows are compared with every query

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


@pytest.mark.parametrize("kind", ["IVF16,PQ4", "IVF16,PQ4x4fs"])
def test_rows_behind_an_index_by_l2_are_found_in_segments(tmp_path, kind, monkeypatch):
    """Earlier versions made short product codes so. An index by L2 keeps a table of its centroids, which a segment has none of."""
    module = faiss()
    with monkeypatch.context() as earlier:
        earlier.setattr(ivf, "make", lambda factory, **_: module.index_factory(32, factory, module.METRIC_L2))
        fill(tmp_path, 0, BASE)
        build(tmp_path, kind=kind)
    assert ivf.load(index_file(tmp_path)).metric_type == module.METRIC_L2
    for start, stop in ((BASE, 2200), (2200, 2260)):
        grow(tmp_path, start, stop)
        manifest = build(tmp_path)
    assert rows_of(manifest) == [(2000, 2200), (2200, 2260)]

    with Generation.open(tmp_path, manifest) as opened:
        itself = opened.search(VECTORS[2000:2260], k=1).ids[:, 0]
        found = opened.search(QUERIES, k=10, nprobe=10**6, shortlist=2260).ids
        expected = flat.exact(opened.rows, QUERIES, k=10).ids
    assert (itself == np.arange(2000, 2260)).mean() > 0.95
    assert np.array_equal(found, expected)


def test_fewer_lists_probed_than_there_are_rows_wanted_still_gives_as_many(tmp_path, monkeypatch):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="IVF16,SQ8")
    grow(tmp_path, BASE, 2200)
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        found = opened.search(QUERIES[:5], k=2200, nprobe=1)
        assert [sorted(ids) for ids in found.ids.tolist()] == [list(range(2200))] * 5


def test_segments_are_merged_into_the_base_when_they_are_a_fourth_of_the_base(tmp_path):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2400)
    assert rows_of(build(tmp_path)) == [(2000, 2400)]
    grow(tmp_path, 2400, 2600)
    manifest = build(tmp_path)
    assert (rows_of(manifest), manifest.index.base_rows) == ([], 2600)
    check(tmp_path, manifest)


def test_a_small_base_takes_its_rows_in(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_segments, "TAIL_ROWS", 250)
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2300)
    assert rows_of(build(tmp_path)) == []


def test_rows_are_published_beside_segments(tmp_path):
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
    assert (manifest.version, rows_of(manifest)) == ((2, 1), [(2000, 2060)])
    check(tmp_path, manifest)


def test_segments_of_like_size_are_merged_without_encoding_again(tmp_path, monkeypatch):
    encoded = []
    encode = segments.encode

    def counted(index, blocks, **options):
        def passed():
            for ids, rows in blocks:
                encoded.extend(ids.tolist())
                yield ids, rows

        return encode(index, passed(), **options)

    monkeypatch.setattr(segments, "encode", counted)
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    seen = []
    for start in range(BASE, 2480, 60):
        grow(tmp_path, start, start + 60)
        manifest = build(tmp_path)
        seen.append([end - first for first, end in rows_of(manifest)])
    assert seen[:6] == [[60], [120], [120, 60], [240], [240, 60], [240, 120]]
    assert encoded == list(range(BASE, 2480))
    check(tmp_path, manifest)


@pytest.mark.parametrize("kind", ["ivfrabitq", "RR,IVF16,RaBitQfs2", "IVF16,PQ4x4fs"])
def test_codes_of_segments_compare_with_those_of_the_base(tmp_path, kind):
    """Half of the rows in a segment are found by codes alone as all of them are in one index."""
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind=kind)
    grow(tmp_path, BASE, 2480)
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        nprobe = opened.manifest.index.nprobe
        found = opened.probed(opened.probes(QUERIES, nprobe=nprobe), k=20).ids
    fill(tmp_path / "whole", 0, BASE)
    build(tmp_path / "whole", kind=kind)
    whole = ivf.load(index_file(tmp_path / "whole"))
    ivf.add(whole, [(np.arange(BASE, 2480), np.ascontiguousarray(VECTORS[BASE:2480]))])
    expected = whole.search(QUERIES, 20, params=ivf.parameters(whole, nprobe=nprobe, shortlist=20))[1]
    assert (found >= BASE).mean() > 0.1
    assert (
        recall_at_k(found, expected) > 0.9
    )  # 0.93 of two bytes a row, whose tables FastScan rounds; 0.99 of RaBitQ


def test_a_shard_finds_the_rows_of_segments_by_their_codes(tmp_path):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2300, dead=[2007])
    build(tmp_path)
    grow(tmp_path, 2300, 2340)
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        chosen = opened.probes(QUERIES, nprobe=10**6)
        coded = opened.probed(chosen, k=2340).ids
        assert all(set(ids.tolist()) - {-1} == set(range(2300)) - {2007} for ids in coded)
        found = opened.scored(QUERIES, coded, k=3, unlisted=True)
        expected = flat.exact(opened.rows, QUERIES, k=3, keep=opened.live)
    assert np.array_equal(found.ids, expected.ids)


@pytest.mark.parametrize("publish", ["build", "tail"])
def test_rows_that_an_earlier_version_left_behind_the_base_are_encoded_though_none_changed(
    tmp_path, publish, monkeypatch
):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2200)
    with monkeypatch.context() as earlier:
        earlier.setattr(recent_segments, "SEGMENT_ROWS", 10**6)
        before = build(tmp_path)
    assert rows_of(before) == []

    if publish == "tail":
        with VectorStore.open(tmp_path, dim=32, writable=True) as store:
            manifest = publish_tail(tmp_path, store, space=SPACE, encoder=None)
    else:
        manifest = build(tmp_path)

    assert rows_of(manifest) == [(2000, 2200)]
    assert build(tmp_path) == manifest  # once
    check(tmp_path, manifest)


def test_many_queries_hold_no_more_candidates_at_a_time_than_few(tmp_path, monkeypatch):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2200)
    queries = np.tile(QUERIES, (20, 1))
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        expected = opened.search(queries, k=10, shortlist=640)
        monkeypatch.setattr(refined, "_SEARCH_BYTES", 1 << 21)
        tracemalloc.start()
        found = opened.search(queries, k=10, shortlist=640)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert peak < 8 << 20  # of all queries together: 12 bytes a candidate of two stages are 18 MB, held twice


def test_damaged_segments_are_made_again(tmp_path):
    manifest, path = with_a_segment(tmp_path, kind="ivfrabitq")
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.unlink()
    path.write_bytes(data)
    with Generation.open(tmp_path, manifest) as opened, pytest.raises(StoreCorrupt, match="segment-"):
        opened.search(QUERIES, k=3)
    grow(tmp_path, 2200, 2210)
    manifest = build(tmp_path)
    check(tmp_path, manifest)
    assert rows_of(manifest) == [(2000, 2210)]


def test_an_earlier_version_compares_rows_in_segments(tmp_path, monkeypatch):
    """It does not know these files: to it all rows behind the base are a tail."""
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, BASE, 2200)
    manifest = build(tmp_path)
    assert manifest.format == 3
    monkeypatch.setattr(generation, "indexed_rows", lambda manifest: manifest.index.base_rows)
    check(tmp_path, manifest)


def test_codes_of_many_queries_are_searched_part_by_part(tmp_path, monkeypatch):
    fill(tmp_path, 0, BASE)
    build(tmp_path, kind="IVF16,SQ8")
    for start, stop in ((BASE, 2200), (2200, 2260)):
        grow(tmp_path, start, stop)
        manifest = build(tmp_path)
    assert len(rows_of(manifest)) == 2
    with Generation.open(tmp_path, manifest) as opened:
        chosen = opened.probes(np.tile(QUERIES, (4, 1)), nprobe=4)
        whole = opened.probed(chosen, k=30)
        sizes = []
        real = refined.Refined.probed
        monkeypatch.setattr(
            refined.Refined,
            "probed",
            lambda self, part, **options: sizes.append(len(part.lists)) or real(self, part, **options),
        )
        monkeypatch.setattr(refined, "_SEARCH_BYTES", 1)
        parts = opened.probed(chosen, k=30)

    np.testing.assert_array_equal(parts.ids, whole.ids)
    np.testing.assert_array_equal(parts.scores, whole.scores)
    assert max(sizes) == refined._LEAST < len(chosen.lists)


def test_a_segment_that_is_a_loop_of_links_is_named(tmp_path):
    manifest, path = with_a_segment(tmp_path, kind="IVF16,SQ8")
    path.unlink()
    path.symlink_to(path.name)

    with pytest.raises(StoreCorrupt, match=rf"{path.name}: cannot be read .*symbolic links"):
        Generation.open(tmp_path, manifest)
    repaired = build(tmp_path)
    assert indexed_rows(repaired) == 2200
    Generation.open(tmp_path, repaired).close()

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.synthetic import Recipe, queries, vectors
from indexes.derivation.derivation import derive, publish_tail
from indexes.engine import flat, ivf
from indexes.errors import MissingRow, OptionError, ShapeError, StoreClosed, StoreCorrupt
from indexes.generation.manifest import INDEX, generation_path
from indexes.generation.row_files.tombstones import TOMBSTONES
from indexes.search.generation import Generation
from indexes.search.searchers import exact
from indexes.store.mirror import RERANK
from indexes.store.store import NewRow, VectorStore
from indexes.vectors.metrics import recall_at_k
from indexes.vectors.space import Space

RECIPE = Recipe(rows=4000, dim=32, clusters=80, topics=8)
VECTORS = vectors(RECIPE)
QUERIES = queries(RECIPE, 60)
SPACE = Space(name="test", dim=32, fingerprint="f" * 32, nesting=(8, 16))
DEAD = np.random.default_rng(5).choice(4000, size=250, replace=False)


def fill(directory, start=0, stop=4000, *, dead=()):
    with VectorStore.create(directory, dim=32) as store:
        store.append(VECTORS[start:stop], [NewRow(key=b"%d" % n) for n in range(start, stop)])
        store.remove(dead)
        store.commit()


def grow(directory, start, stop, *, dead=()):
    with VectorStore.open(directory, dim=32, writable=True) as store:
        store.append(VECTORS[start:stop], [NewRow(key=b"%d" % n) for n in range(start, stop)])
        store.remove(dead)
        store.commit()


def build(directory, **options):
    with VectorStore.open(directory, dim=32, writable=True) as store:
        return derive(directory, store, space=SPACE, encoder=None, root=None, **options)


@pytest.fixture(scope="module", params=["flat", "ivfrabitq", "ivfpq", "HNSW16,Flat", "PQ8", "PCA16,LSH"])
def collection(request, tmp_path_factory):
    """A base of 3,800 rows, a tail of 200, and tombstones in both."""
    directory = tmp_path_factory.mktemp("collection")
    fill(directory, 0, 3800)
    build(directory, kind=request.param)
    grow(directory, 3800, 4000, dead=DEAD)
    manifest = build(directory)
    with Generation.open(directory, manifest) as opened:
        yield opened


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lists")
    fill(directory, 0, 3800)
    build(directory, kind="ivfrabitq")
    grow(directory, 3800, 4000, dead=DEAD)
    with Generation.open(directory, build(directory)) as opened:
        yield opened


def truth(opened, asked, *, k, keep=None):
    live = np.ones(opened.count, dtype=np.bool_)
    live[DEAD] = False
    return flat.exact(opened.rows, asked, k=k, keep=live if keep is None else live & keep)


def same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=2e-6)


def test_the_tail_is_searched_beside_the_base(collection):
    info = collection.manifest.index

    assert collection.count == 4000
    assert info.base_rows == (4000 if info.kind == "flat" else 3800)
    tail = [number for number in range(3800, 4000) if number not in set(DEAD)]
    found = collection.search(VECTORS[tail], k=1)
    np.testing.assert_array_equal(found.ids[:, 0], tail)
    np.testing.assert_allclose(found.scores, 1, atol=1e-3)


def test_exact_equals_brute_force(collection):
    same(collection.search(QUERIES, k=20, exact=True), truth(collection, QUERIES, k=20))


def test_every_list_and_a_shortlist_of_every_row_equal_exact_search(collection):
    same(collection.search(QUERIES, k=10, nprobe=10**6, shortlist=4000), truth(collection, QUERIES, k=10))


def test_the_recall_asked_for_is_reached_on_fresh_queries(collection):
    if collection.manifest.index.recall_reason is not None:
        pytest.skip(f"this kind cannot reach it here: {collection.manifest.index.recall_reason}")
    fresh = queries(RECIPE, 1000)  # of 60 the recall has a standard error of 0.02
    found = collection.search(fresh, k=10)
    recall = recall_at_k(found.ids, truth(collection, fresh, k=10).ids)

    assert recall > 0.93  # usually above 0.95


def test_tombstoned_rows_never_come_back(collection):
    found = collection.search(VECTORS[DEAD], k=50)

    assert not np.isin(found.ids, DEAD).any()
    assert (found.ids >= 0).all()


def test_scores_fall_and_are_cosines_of_the_stored_rows(collection):
    found = collection.search(QUERIES, k=30)
    wide = collection.rows[found.ids].astype(np.float32)

    assert (np.diff(found.scores, axis=1) <= 0).all()
    np.testing.assert_allclose(found.scores, np.einsum("qkd,qd->qk", wide, QUERIES), atol=2e-6)


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.3, 0.95])
@pytest.mark.parametrize("limit", [0, 20_000])
def test_a_filter_is_kept_and_never_empties_the_list(collection, monkeypatch, share, limit):
    monkeypatch.setattr(exact, "ROWS_OF_SEVERAL", limit)  # 0: even few rows go through the index
    keep = np.random.default_rng(7).random(4000) < share
    found = collection.search(QUERIES, k=10, keep=keep)
    expected = truth(collection, QUERIES, k=10, keep=keep)

    assert keep[found.ids[found.ids >= 0]].all()
    assert not np.isin(found.ids, DEAD).any()
    np.testing.assert_array_equal((found.ids >= 0).sum(axis=1), (expected.ids >= 0).sum(axis=1))
    if limit:
        same(found, expected)  # 4,000 rows are few
    if collection.manifest.index.recall_reason is None:
        assert recall_at_k(found.ids, expected.ids) > 0.9  # usually above 0.95


def test_a_filter_of_one_cluster_finds_far_queries_too(lists, monkeypatch):
    monkeypatch.setattr(exact, "ROWS_OF_SEVERAL", 0)
    centre = truth(lists, VECTORS[:1], k=150).ids[0]
    keep = np.zeros(4000, dtype=np.bool_)
    keep[centre] = True
    found = lists.search(-QUERIES, k=10, keep=keep)

    assert (found.ids >= 0).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), k=st.integers(1, 60), q=st.integers(1, 6))
def test_any_filter_through_the_index_with_every_list_equals_brute_force(lists, seed, share, k, q):
    keep = np.random.default_rng(seed).random(4000) < share

    with patch.object(exact, "ROWS", 0):
        found = lists.search(QUERIES[:q], k=k, keep=keep, nprobe=10**6, shortlist=4000)

    same(found, truth(lists, QUERIES[:q], k=k, keep=keep))


def test_a_run_of_rows_is_searched_like_any_other(lists):
    keep = np.zeros(4000, dtype=np.bool_)
    keep[1200:1500] = True
    for q in (1, 60):
        same(lists.search(QUERIES[:q], k=10, keep=keep), truth(lists, QUERIES[:q], k=10, keep=keep))


def test_more_than_there_are_is_padded_with_all_of_them(collection):
    found = collection.search(QUERIES[:3], k=4100)

    np.testing.assert_array_equal((found.ids >= 0).sum(axis=1), 4000 - len(DEAD))
    assert (found.ids[:, 4000 - len(DEAD) :] == -1).all()
    assert np.isneginf(found.scores[:, 4000 - len(DEAD) :]).all()
    assert all(len(set(row)) == 4000 - len(DEAD) for row in found.ids[:, : 4000 - len(DEAD)].tolist())


def test_a_longer_list_than_the_probed_lists_hold_is_filled(lists):
    found = lists.search(QUERIES, k=900, nprobe=1)

    same(found, truth(lists, QUERIES, k=900))


def test_a_larger_k_probes_more(lists):
    found = lists.search(QUERIES, k=100)

    assert recall_at_k(found.ids, truth(lists, QUERIES, k=100).ids) > 0.93  # usually above 0.95


def test_many_threads_with_other_settings_get_what_one_gets(lists):
    keep = np.random.default_rng(3).random(4000) < 0.5
    asked = [
        {"nprobe": nprobe, "shortlist": shortlist, "keep": flags}
        for nprobe in (1, 3, 9)
        for shortlist in (10, 80)
        for flags in (None, keep)
    ] * 4
    serial = [lists.search(QUERIES, k=10, **settings) for settings in asked]
    with (
        Generation.open(lists._directory, lists.manifest) as fresh,
        ThreadPoolExecutor(8) as pool,
    ):
        at_once = list(pool.map(lambda settings: fresh.search(QUERIES, k=10, **settings), asked))

    for one, other in zip(serial, at_once, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_no_queries_no_answers(collection):
    found = collection.search(np.empty((0, 32), dtype=np.float32), k=3)

    assert found.ids.shape == found.scores.shape == (0, 3)


def test_a_prefix_with_a_full_shortlist_equals_exact_search(collection):
    same(
        collection.search(QUERIES, k=10, dim=8, shortlist=4000),
        truth(collection, QUERIES, k=10),
    )


def test_a_prefix_of_the_full_width_is_no_prefix(lists):
    same(lists.search(QUERIES, k=10, dim=32), lists.search(QUERIES, k=10))
    same(lists.search(QUERIES, k=10, dim=32, exact=True), truth(lists, QUERIES, k=10))


def test_vectors_come_by_id(collection):
    np.testing.assert_array_equal(
        collection.vectors(np.array([5, 3999, 5])), VECTORS[[5, 3999, 5]].astype(np.float16)
    )
    with pytest.raises(MissingRow):
        collection.vectors(np.array([4000]))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, OptionError),
        ({"k": 1, "nprobe": 0}, OptionError),
        ({"k": 1, "shortlist": 0}, OptionError),
        ({"k": 1, "dim": 7}, OptionError),
        ({"k": 1, "dim": 8, "exact": True}, OptionError),
        ({"k": 1, "keep": np.ones(3999, dtype=np.bool_)}, ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(collection, options, error):
    with pytest.raises(error):
        collection.search(QUERIES, **options)


@pytest.mark.parametrize("dim", [0, -1, 33])
def test_a_width_beyond_the_space_is_refused_as_it_was_given(collection, dim):
    with pytest.raises(OptionError, match=f"^`truncate_dim={dim}`: no width of test; use 1 to 32$"):
        collection.search(QUERIES, k=1, dim=dim)


def test_queries_of_another_width_are_refused(collection):
    with pytest.raises(ShapeError, match=r"expected \(q, 32\)"):
        collection.search(QUERIES[:, :16], k=1)


def test_nothing_that_the_caller_hands_over_is_changed(lists):
    asked, keep = QUERIES.copy(), np.random.default_rng(0).random(4000) < 0.9
    before = keep.copy()
    lists.search(asked, k=3, keep=keep)

    np.testing.assert_array_equal(asked, QUERIES)
    np.testing.assert_array_equal(keep, before)


def test_opening_maps_and_closing_lets_go(tmp_path):
    fill(tmp_path)
    manifest = build(tmp_path, kind="ivfrabitq")
    opened = Generation.open(tmp_path, manifest)
    opened.search(QUERIES, k=1)

    def mapped():
        with open("/proc/self/maps", encoding="utf-8") as lines:
            return {os.path.basename(line.split()[-1]) for line in lines if str(tmp_path) in line}

    assert {INDEX, RERANK} <= mapped()
    opened.close()
    opened.close()

    assert not mapped() & {INDEX, RERANK}


def test_a_closed_generation_refuses(tmp_path):
    fill(tmp_path, 0, 500)
    opened = Generation.open(tmp_path, build(tmp_path))
    opened.close()

    for use in (
        lambda: opened.search(QUERIES, k=1),
        lambda: opened.search(QUERIES, k=1, dim=8),
        lambda: opened.codes(QUERIES, k=1),
        lambda: opened.vectors(np.array([0])),
        lambda: opened.rows,
        opened.keys,
        opened.first_stage,
    ):
        with pytest.raises(StoreClosed, match="is closed; open it again"):
            use()


def test_a_damaged_generation_is_named(tmp_path):
    fill(tmp_path, 0, 500)
    manifest = build(tmp_path)
    flags = generation_path(tmp_path, manifest.generation) / TOMBSTONES
    whole = flags.read_bytes()
    flags.write_bytes(b"\0" * len(whole))
    with pytest.raises(StoreCorrupt, match=r"tombstones\.npy.*`build_index`"):
        Generation.open(tmp_path, manifest)
    flags.write_bytes(whole[:-1])
    with pytest.raises(StoreCorrupt, match=r"tombstones\.npy"):
        Generation.open(tmp_path, manifest)
    flags.write_bytes(whole)
    with pytest.raises(StoreCorrupt, match=r"rerank\.f16"):
        Generation.open(tmp_path, replace(manifest, count=600))


def test_one_query_finds_the_tail_as_many_do_ties_across_the_end_included(tmp_path):
    fill(tmp_path, 0, 3800)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 3800, 3990)
    with VectorStore.open(tmp_path, dim=SPACE.dim, writable=True) as store:
        again = np.repeat(VECTORS[3800:3801], 20, axis=0)  # all of them tie
        store.append(again, [NewRow(key=b"again %d" % number) for number in range(20)])
        store.commit()
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        assert opened.manifest.index.base_rows == 3800
        asked = np.concatenate((VECTORS[3790:3810], QUERIES[:20], VECTORS[3800:3801]))
        for query in asked[:, np.newaxis]:
            for k in (1, 5, 10):
                one = opened.search(query, k=k, nprobe=10**6, shortlist=4000)
                same(one, opened.search(query, k=k, exact=True))
                assert one.ids.dtype == np.int64
                assert one.scores.dtype == np.float32


@pytest.mark.parametrize("kind", ["ivfrabitq", "HNSW16,Flat", "flat"])
def test_an_index_that_is_open_is_not_opened_again(tmp_path, monkeypatch, kind):
    fill(tmp_path, 0, 2000)
    first = Generation.open(tmp_path, build(tmp_path, kind=kind))
    first.search(QUERIES, k=10)
    grow(tmp_path, 2000, 2100, dead=[3, 2050])
    second = build(tmp_path)
    monkeypatch.setattr(ivf, "open_mapped", lambda path: pytest.fail(f"{path} was opened"))
    with Generation.open(tmp_path, second, before=first) as opened:
        first.close()
        live = np.ones(2100, dtype=np.bool_)
        live[[3, 2050]] = False
        found = opened.search(QUERIES, k=10, nprobe=10**6, shortlist=2100)
        same(found, flat.exact(opened.rows, QUERIES, k=10, keep=live))


def test_another_index_is_opened_though_one_is_open(tmp_path):
    fill(tmp_path, 0, 2000)
    with Generation.open(tmp_path, build(tmp_path, kind="ivfrabitq")) as first:
        first.search(QUERIES, k=10)
        grow(tmp_path, 2000, 2300)
        with Generation.open(tmp_path, build(tmp_path), before=first) as second:
            found = second.search(QUERIES, k=10, nprobe=10**6, shortlist=2300)
            same(found, flat.exact(second.rows, QUERIES, k=10))
            assert second.first_stage().index.ntotal == 2300


@pytest.mark.parametrize("kind", ["PQ8", "PCA16,LSH", "NSG16,Flat"])
def test_a_deletion_leaves_an_index_in_use_that_cannot_filter(tmp_path, kind, monkeypatch):
    """Some more rows are found, and those with a tombstone left out; no query is compared with every row."""
    fill(tmp_path, 0, 3000)
    whole = build(tmp_path, kind=kind)
    with Generation.open(tmp_path, whole) as opened:
        before = opened.search(QUERIES, k=20)
    dead = sorted({int(number) for number in before.ids[::3, :3].ravel()})
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        store.remove(dead)
        store.commit()
    manifest = build(tmp_path)
    compared = []
    plain = exact.ExactSearcher.search
    monkeypatch.setattr(
        exact.ExactSearcher,
        "search",
        lambda self, queries, wanted: compared.append(len(queries)) or plain(self, queries, wanted),
    )
    live = ~np.isin(np.arange(3000), dead)
    with Generation.open(tmp_path, manifest) as opened:
        found = opened.search(QUERIES, k=5)
        expected = flat.exact(opened.rows, QUERIES, k=5, keep=live)
    assert compared == []
    assert not np.isin(found.ids, dead).any()
    assert (found.ids >= 0).all()
    assert recall_at_k(found.ids, expected.ids) > 0.7


def test_one_query_finds_recent_rows_as_several_do_whatever_was_deleted(tmp_path):
    fill(tmp_path, 0, 3000)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 3000, 3200, dead=[*range(3000, 3200, 3), 7])
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        for k in (1, 10, 150):
            together = opened.search(QUERIES, k=k, nprobe=10**6, shortlist=3200)
            for number, query in enumerate(QUERIES):
                alone = opened.search(query[np.newaxis], k=k, nprobe=10**6, shortlist=3200)
                np.testing.assert_array_equal(alone.ids[0], together.ids[number])
                np.testing.assert_allclose(alone.scores[0], together.scores[number], atol=1e-6)


def test_one_query_of_which_fewer_rows_are_left_is_padded(tmp_path):
    fill(tmp_path, 0, 3000)
    build(tmp_path, kind="ivfpq")
    grow(tmp_path, 3000, 3200, dead=[*range(3100), *range(3104, 3200)])
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        manifest = publish_tail(tmp_path, store, space=SPACE, encoder=None, root=None)
    with Generation.open(tmp_path, manifest) as opened:
        found = opened.search(QUERIES[:1], k=7)
    assert sorted(found.ids[0].tolist()) == [-1] * 3 + [3100, 3101, 3102, 3103]
    assert np.isneginf(found.scores[0, 4:]).all()

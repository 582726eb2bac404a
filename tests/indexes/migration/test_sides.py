"""Either side of a gallery during an upgrade finds what comparing all its rows finds."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.derivation.derivation import derive
from indexes.generation import generation_path, read_manifest
from indexes.migration import sides, staging
from indexes.migration.sides import NewSide, OldSide
from indexes.migration.staging import SERVED, Staging
from indexes.search.generation import Generation
from indexes.store import RERANK, RerankRows
from indexes.store.store import NewRow, VectorStore
from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space

OLD = Space(name="old", dim=16, fingerprint="old")
NEW = Space(name="new", dim=32, fingerprint="new")
COUNT = 1_000


def rows(n, d, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((n, d)))


def nearest(gallery, queries, answers, k=10):
    """Return the ids of the best rows that answer, by brute force."""
    scores = queries @ np.asarray(gallery, dtype=np.float32).T
    scores[:, ~answers] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@pytest.fixture
def generation(tmp_path):
    """A generation of the old space, every fifth row tombstoned."""
    home = tmp_path / "old"
    with VectorStore.create(home, dim=OLD.dim) as store:
        store.append(rows(COUNT, OLD.dim), [NewRow(key=b"%d" % n) for n in range(COUNT)])
        store.commit()
        store.remove(range(0, COUNT, 5))
        store.commit()
        manifest = derive(home, store, space=OLD, encoder=None, root=None, kind="ivfrabitq")
    with Generation.open(home, manifest) as generation:
        yield generation


@pytest.mark.parametrize("few", [0, 5_000])
def test_old_rows_that_were_replaced_are_not_found(generation, few, monkeypatch):
    monkeypatch.setattr(sides, "FEW", few)
    replaced = np.random.default_rng(1).random(COUNT) < 0.5
    queries, keep = rows(9, OLD.dim, seed=2), np.arange(COUNT) % 3 == 0
    side = OldSide(generation, replaced)

    for flags in (None, keep):
        found = side.search(queries, k=10, keep=flags, dim=None, exact=True)
        answers = generation.live & ~replaced & (True if flags is None else flags)
        np.testing.assert_array_equal(found.ids, nearest(generation.rows, queries, answers))

    quick = side.search(queries, k=10, keep=None, dim=None).ids
    assert not replaced[quick].any()
    truth = nearest(generation.rows, queries, generation.live & ~replaced)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(quick, truth, strict=True)]) >= 0.8  # usual: 0.95
    side.close()
    assert (generation.search(queries, k=3).ids >= 0).all()  # what it limited is still open


def staged(home, monkeypatch, count=COUNT, *, seed=3):
    """Stage rows for every other id, with an index."""
    monkeypatch.setattr(staging, "INDEXED", 300)
    fresh = rows(count, NEW.dim, seed=seed)
    with Staging.open(home, dim=NEW.dim) as store:
        store.append(np.arange(count) * 2, fresh, [b""] * count, state=SERVED)
        store.commit()
        store.index(NEW)
    return np.asarray(RerankRows.open(home / RERANK, dim=NEW.dim, count=count).rows)


def test_many_new_rows_are_found_by_an_index_of_their_own(tmp_path, monkeypatch):
    fresh = staged(tmp_path, monkeypatch)
    assert read_manifest(tmp_path).index.kind == "ivfrabitq"
    ids = np.where(np.arange(COUNT) < 900, np.arange(COUNT) * 2, -1)  # the last ones do not answer yet
    side = NewSide.open(tmp_path, fresh, ids, space=NEW)
    queries = rows(9, NEW.dim, seed=4)

    truth = nearest(fresh, queries, ids >= 0) * 2
    np.testing.assert_array_equal(side.search(queries, k=10, keep=None, dim=None, exact=True).ids, truth)
    quick = side.search(queries, k=10, keep=None, dim=None).ids
    assert np.mean([np.isin(a, b).mean() for a, b in zip(quick, truth, strict=True)]) >= 0.8  # usual: 0.95
    keep = np.arange(2 * COUNT) % 3 == 0
    found = side.search(queries, k=10, keep=keep, dim=None, exact=True).ids
    np.testing.assert_array_equal(found, nearest(fresh, queries, (ids >= 0) & keep[ids]) * 2)
    side.close()


def test_rows_beyond_the_index_are_searched_with_it(tmp_path, monkeypatch):
    staged(tmp_path, monkeypatch)
    more = rows(40, NEW.dim, seed=5)
    with Staging.open(tmp_path, dim=NEW.dim) as store:
        store.append(2 * COUNT + np.arange(40), more, [b""] * 40, state=SERVED)
        store.commit()
        store.index(NEW, briefly=True)
    assert read_manifest(tmp_path).index.base_rows == COUNT
    fresh = np.asarray(RerankRows.open(tmp_path / RERANK, dim=NEW.dim, count=COUNT + 40).rows)
    ids = np.concatenate([np.arange(COUNT) * 2, 2 * COUNT + np.arange(40)])

    side = NewSide.open(tmp_path, fresh, ids, space=NEW)

    found = side.search(more, k=1, keep=None, dim=None).ids[:, 0]
    np.testing.assert_array_equal(found, 2 * COUNT + np.arange(40))
    side.close()


@pytest.mark.parametrize(("more", "waiting"), [(4, 4), (60, 0)])
def test_few_new_rows_wait_outside_the_index(tmp_path, monkeypatch, more, waiting):
    monkeypatch.setattr(staging, "_WAITING", 1)
    staged(tmp_path, monkeypatch)

    with Staging.open(tmp_path, dim=NEW.dim) as store:
        store.append(2 * COUNT + np.arange(more), rows(more, NEW.dim, seed=5), [b""] * more, state=SERVED)
        store.commit()
        store.index(NEW)

    manifest = read_manifest(tmp_path)
    assert manifest.count - manifest.index.base_rows == waiting  # one row of 200 may wait: 5


def test_none_waits_where_all_are_to_be_in_the_index(tmp_path, monkeypatch):
    staged(tmp_path, monkeypatch)
    with Staging.open(tmp_path, dim=NEW.dim) as store:
        store.append([2 * COUNT], rows(1, NEW.dim, seed=5), [b""], state=SERVED)
        store.commit()
        store.index(NEW, whole=True)

    assert read_manifest(tmp_path).index.base_rows == COUNT + 1


@pytest.mark.parametrize("harm", ["older", "damaged", "none"])
def test_without_a_usable_index_all_new_rows_are_compared(tmp_path, monkeypatch, harm):
    fresh = staged(tmp_path, monkeypatch)
    ids = np.arange(COUNT) * 2
    if harm == "older":  # rows came since that it does not hold
        fresh, ids = np.concatenate([fresh, fresh[:1]]), np.append(ids, 2 * COUNT)
    if harm == "damaged":
        index = generation_path(tmp_path, read_manifest(tmp_path).generation) / "index.faiss"
        index.write_bytes(b"x" * index.stat().st_size)
    queries = rows(9, NEW.dim, seed=4)
    side = NewSide(fresh, ids, space=NEW) if harm == "none" else NewSide.open(tmp_path, fresh, ids, space=NEW)

    found = side.search(queries, k=10, keep=None, dim=None).ids

    np.testing.assert_array_equal(found, ids[nearest(fresh, queries, ids >= 0)])
    side.close()


def test_few_new_rows_get_no_index(tmp_path):
    with Staging.open(tmp_path, dim=NEW.dim) as store:
        store.append(np.arange(20), rows(20, NEW.dim), [b""] * 20, state=SERVED)
        store.commit()
        store.index(NEW)
    assert not (tmp_path / "manifest.json").exists()


def test_wide_rows_get_codes_without_a_rotation_and_keep_their_lists_as_they_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "INDEXED", 300)
    monkeypatch.setattr(staging, "_UNROTATED", 30)
    space, fresh = Space(name="wide", dim=40, fingerprint="wide"), rows(1_000, 40, seed=6)
    factories = []
    for start in (0, 900):
        part = slice(start, 900 if start == 0 else 1_000)
        with Staging.open(tmp_path, dim=40) as store:
            ids = np.arange(1_000)[part]
            store.append(ids, fresh[part], [b""] * len(ids), state=SERVED)
            store.commit()
            store.index(space, whole=True)
        index = read_manifest(tmp_path).index
        factories.append(index.factory)
        assert index.base_rows == part.stop
    assert factories == ["IVF16,RaBitQfs"] * 2

    mapped = np.asarray(RerankRows.open(tmp_path / RERANK, dim=40, count=1_000).rows)
    side = NewSide.open(tmp_path, mapped, np.arange(1_000), space=space)
    queries = rows(20, 40, seed=7)
    truth = nearest(mapped, queries, np.ones(1_000, dtype=bool))
    places = side.candidates(queries, k=20, depth=10).ids
    assert np.mean([np.isin(a, b).mean() for a, b in zip(truth, places, strict=True)]) >= 0.9  # usual: 0.98
    side.close()

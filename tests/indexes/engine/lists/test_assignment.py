"""Assigning rows to lists by fewer dimensions first: the same lists nearly always, and nothing of it left in the index."""

import numpy as np
import pytest

from benchmarks.synthetic import Recipe, vectors
from indexes.engine.backend import faiss
from indexes.engine.lists import assignment, chain, ivf

ROWS, DIM = 12_000, 256


@pytest.fixture(scope="module")
def rows():
    return vectors(Recipe(rows=ROWS, dim=DIM))


@pytest.fixture
def _few_lists(monkeypatch):
    monkeypatch.setattr(assignment, "LISTS", 64)


def built(factory, rows, *, block=ROWS):
    index = ivf.make(factory, dim=DIM)
    ivf.train(index, rows[::2])
    starts = range(0, len(rows), block)
    ivf.add(index, ((np.arange(at, min(at + block, len(rows))), rows[at : at + block]) for at in starts))
    return index


def lists_of_rows(index):
    inner = ivf.innermost(index)
    found = np.empty(index.ntotal, np.int64)
    for number in range(inner.nlist):
        size = inner.invlists.list_size(number)
        found[faiss().rev_swig_ptr(inner.invlists.get_ids(number), size)] = number
    return found


FACTORIES = ["IVF128,PQ16", "RR,IVF128,RaBitQfs", "OPQ16,IVF128,PQ16", "IVF128,SQfp16"]


@pytest.mark.usefixtures("_few_lists")
@pytest.mark.parametrize("factory", FACTORIES)
def test_rows_lie_in_the_list_of_their_nearest_centroid(rows, factory):
    index = built(factory, rows)
    inner = ivf.innermost(index)
    own = faiss().downcast_index(inner.quantizer)
    assert isinstance(own, faiss().IndexFlat)
    assert (own.d, own.ntotal) == (inner.d, 128)
    assert inner.clustering_index is None
    nearest = own.search(chain.apply(index, rows), 1)[1][:, 0]
    assert index.ntotal == ROWS
    assert (lists_of_rows(index) == nearest).mean() > 0.97


@pytest.mark.usefixtures("_few_lists")
def test_as_many_neighbours_are_found_as_with_all_dimensions(rows, monkeypatch):
    true = faiss().knn(rows[::40], rows, 10, metric=faiss().METRIC_INNER_PRODUCT)[1]

    def recall(index):
        found = index.search(rows[::40], 100, params=ivf.parameters(index, nprobe=6, shortlist=100))[1]
        return np.mean([np.isin(t, f).mean() for t, f in zip(true, found, strict=True)])

    quick = built("RR,IVF128,RaBitQfs", rows)
    monkeypatch.setattr(assignment, "LISTS", 1 << 30)
    whole = built("RR,IVF128,RaBitQfs", rows)
    assert not np.array_equal(lists_of_rows(quick), lists_of_rows(whole))  # it was another way
    assert recall(quick) > recall(whole) - 0.02


@pytest.mark.parametrize("factory", ["HR,IVF128,RaBitQfs", "IVF128,SQ8"])
def test_narrow_rows_find_their_lists_through_a_graph(rows, factory, monkeypatch):
    monkeypatch.setattr(assignment, "GRAPH_LISTS", 64)
    narrow = np.ascontiguousarray(rows[:, :64])
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    index = ivf.make(factory, dim=64)
    ivf.train(index, narrow[::2])
    own = faiss().downcast_index(ivf.innermost(index).quantizer)
    ivf.add(index, [(np.arange(ROWS), narrow)])

    assert faiss().downcast_index(ivf.innermost(index).quantizer).this == own.this
    asked = np.ascontiguousarray(chain.apply(index, narrow))
    nearest = own.search(asked, 2)[1]
    lists = lists_of_rows(index)
    assert 0.9 < (lists == nearest[:, 0]).mean() < 1  # 0.97: it was another way
    assert (lists[:, np.newaxis] == nearest).any(axis=1).mean() > 0.97  # 0.99


@pytest.mark.usefixtures("_few_lists")
def test_few_rows_are_assigned_by_the_lists_own_quantiser(rows, monkeypatch):
    index = ivf.make("IVF128,PQ16", dim=DIM)
    ivf.train(index, rows)
    monkeypatch.setattr(assignment, "_quantizer", lambda *_: pytest.fail("made for a few rows"))
    few = assignment.ADDED - 1
    ivf.add(index, [(np.arange(few), rows[:few]), (np.arange(few, 2 * few), rows[few : 2 * few])])
    assert index.ntotal == 2 * few


@pytest.mark.usefixtures("_few_lists")
def test_the_quantiser_is_back_when_adding_fails(rows):
    index = built("IVF128,PQ16", rows)
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        ivf.add(index, [(np.arange(ROWS), rows[:, :100])])
    assert isinstance(faiss().downcast_index(ivf.innermost(index).quantizer), faiss().IndexFlat)


def test_a_small_or_narrow_index_is_left_alone():
    assert not assignment.pays(ivf.innermost(ivf.make("IVF128,PQ16", dim=DIM)))
    assert not assignment.pays(ivf.innermost(ivf.make("IVF1024,PQ16", dim=128)))
    assert not assignment.pays(ivf.innermost(ivf.make("IVF16384_HNSW32,PQ16", dim=DIM)))
    assert not assignment.pays(ivf.innermost(ivf.make("HNSW32", dim=DIM)))
    assert assignment.pays(ivf.innermost(ivf.make("IVF1024,PQ16", dim=DIM)))

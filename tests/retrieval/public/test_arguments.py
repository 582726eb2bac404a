"""What a collection takes as ids, flags and numbers, and what it refuses in a sentence."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation.row_files.key_table import KeyTable
from retrieval.collection.queries.terms import row
from retrieval.errors import MissingRow, OptionError, ShapeError
from retrieval.sources import keys
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, ids_by_key
from tests.strategies import unit

ENCODER = FakeEncoder(nesting=(5,))
COUNT = 24


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(
        tmp_path_factory.mktemp("c") / "photos", [f"{part}/{n}.png" for part in "ab" for n in range(12)]
    )
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


@pytest.fixture
def collection(photos):
    with retrieval.open(photos, encoder=ENCODER) as opened:
        yield opened


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A collection of each kind of index, of rows that lie close together."""
    rng = np.random.default_rng(0)
    rows = unit(40, 32, seed=0).repeat(50, axis=0) + 0.02 * rng.standard_normal((2000, 32)).astype(np.float32)

    def build(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind.replace(",", "-"))
        retrieval.sync_vectors(folder, rows, [f"{n}.jpg" for n in range(2000)], kind=kind)
        return folder

    return build


def test_flags_give_the_rows_where_they_are_true(collection):
    keep = collection.mask(glob="b/*")
    inside = [number for path, number in ids_by_key(collection).items() if path.startswith("b/")]

    assert (collection.vectors(keep) == collection.vectors(sorted(inside))).all()
    assert len(collection.vectors(keep)) == 12
    assert len(collection.vectors(~collection.live)) == 0


@pytest.mark.parametrize("ids", [np.ones(COUNT - 1, bool), np.ones(2, bool), [[1, 2]]], ids=repr)
def test_flags_of_another_length_are_refused(collection, ids):
    with pytest.raises(ShapeError):
        collection.vectors(ids)


@pytest.mark.parametrize("ids", [[1.0], np.array([1.5]), [None], [True, 3], 1.0, None.__class__], ids=repr)
def test_what_is_no_id_is_refused(collection, ids):
    with pytest.raises(OptionError):
        collection.vectors(ids)


@pytest.mark.parametrize("number", [5, np.int64(5), np.uint8(5), np.array(5)], ids=repr)
def test_every_method_takes_any_integer(collection, number):
    first = collection.search(5, k=number, nprobe=number, truncate_dim=np.int64(ENCODER.space.dim))

    assert first == collection.search(5, k=5)
    assert (
        collection.search(number, k=3)
        == collection.search(row(number), k=3)
        == collection.search(row(5), k=3)
    )
    assert collection.key_of(number) == collection.key_of(5)
    found = collection.search_vectors(collection.vectors(number), k=number, shortlist=number, nprobe=number)
    assert found.ids.shape == (1, 5)


@pytest.mark.parametrize("k", [0, -1, 5.0, True, None, "5", np.float32(2)], ids=repr)
@pytest.mark.parametrize("method", ["search", "search_vectors"])
def test_what_is_no_number_of_hits_is_refused(collection, k, method):
    query = 0 if method == "search" else collection.vectors(0)
    with pytest.raises(OptionError, match=r"^k is "):
        getattr(collection, method)(query, k=k)


@pytest.mark.parametrize("name", ["nprobe", "truncate_dim", "shortlist"])
@pytest.mark.parametrize("value", [0, -1, 5.0, True, "5"], ids=repr)
def test_other_numbers_are_refused_by_name(collection, name, value):
    with pytest.raises(OptionError, match=name):
        collection.search_vectors(collection.vectors(0), **{name: value})


def test_huge_numbers(collection):
    everything = collection.search(0, k=10**12)

    assert len(everything) == COUNT - 1
    assert collection.search(0, k=10**12, nprobe=10**12) == everything
    assert collection.search_vectors(collection.vectors(0), k=5, shortlist=2**40).ids.shape == (1, 5)
    with pytest.raises(OptionError, match="holds 24 rows"):
        collection.search_vectors(collection.vectors(0), k=10**12)
    for missing in (10**30, -1, COUNT):
        with pytest.raises(MissingRow):
            collection.key_of(missing)


@pytest.mark.parametrize("number", [1.0, "1", True], ids=repr)
def test_an_id_is_an_integer(collection, number):
    for ask in (row, collection.key_of):
        with pytest.raises(OptionError, match=r"the id|a key"):
            ask(number)


@pytest.mark.parametrize("keep", [[0, 1], np.arange(COUNT), np.ones(COUNT), [True] * 3], ids=repr)
def test_keep_is_flags(collection, keep):
    with pytest.raises(ShapeError, match="truth values"):
        collection.search_vectors(collection.vectors(0), mask=keep)


@pytest.mark.parametrize("kind", ["flat", "ivfrabitq", "ivfpq"])
def test_no_score_exceeds_one_or_the_rows_own(vectors, kind):
    with retrieval.open(vectors(kind)) as collection:
        queries = collection.vectors(np.arange(0, 2000, 7))
        for exact in (False, True):
            found = collection.search_vectors(queries, k=20, exact=exact)
            scores = found.scores[found.ids >= 0]

            assert scores.max() <= 1
            assert (found.ids[:, 0] == np.arange(0, 2000, 7)).all()
            assert (np.diff(found.scores, axis=1) <= 0).all()
        hits = collection.search(7, k=5, include_self=True)
        assert (hits[0].id, hits[0].score) == (7, 1.0)


def test_live_takes_no_memory_a_row(collection, monkeypatch):
    assert collection.live.shape == (COUNT,)
    assert collection.live.dtype == bool
    assert collection.live.strides == (0,)
    with pytest.raises(ValueError, match="read-only"):
        collection.live[0] = False


def test_a_filter_holds_little_besides_its_flags():
    count = 300_000
    table = KeyTable.of(b"folder %d/%06d.jpg" % (n % 7, n) for n in range(count))
    tracemalloc.start()
    for under, glob in ((None, "*.jpg"), ("folder 3", "*"), ("folder 3", "*9.jp?"), (None, "**/*7.jpg")):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        keep = keys.PathFilter(table).keep(under=under, glob=glob)
        peak = tracemalloc.get_traced_memory()[1] - before
        expected = [
            (under is None or n % 7 == 3) and (glob in {"*", "*.jpg"} or n % 10 == (9 if under else 7))
            for n in range(count)
        ]

        assert keep.tolist() == expected
        assert peak < count + 8_000_000  # before: 40 bytes a row, here 12 MB
    tracemalloc.stop()

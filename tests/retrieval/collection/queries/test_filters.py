"""One way to filter in every search: what passes all filters is found, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import retrieval
from indexes.engine import flat
from indexes.search.searchers import exact as exact_search
from retrieval.collection.queries.filters import RowFilter
from retrieval.errors import MissingRow, OptionError, ShapeError
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, ids_by_key, picture
from tests.strategies import name_of, unit

ENCODER = FakeEncoder(nesting=(16,))
NAMES = [f"{folder}/{number:02}.png" for folder in ("a", "b") for number in range(15)]
COUNT = len(NAMES) + 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """33 rows, of which three were deleted and two are copies of each other."""
    folder = fill(tmp_path_factory.mktemp("c") / "photos", NAMES)
    shutil.copy(folder / "a/00.png", folder / "b/copy.png")
    fill(folder, ["b/gone1.png", "b/gone2.png"], first=90)
    retrieval.build_index(folder, encoder=ENCODER)
    for name in ("b/gone1.png", "b/gone2.png", "a/14.png"):
        (folder / name).unlink()
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


@pytest.fixture(scope="module")
def collection(photos: Path) -> retrieval.Collection:
    with retrieval.open(photos, encoder=ENCODER) as opened:
        yield opened


FILTERS = {
    "under": st.sampled_from(["a", "b", "nowhere"]),
    "glob": st.sampled_from(["*.png", "a/*", "**/1*.png", "none"]),
    "ids": st.lists(st.sampled_from([*range(10), "a/03.png", b"b/05.png", Path("b/copy.png")])),
    "mask": st.lists(st.booleans(), min_size=COUNT, max_size=COUNT).map(np.array),
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(filters=st.fixed_dictionaries({}, optional=FILTERS))
def test_every_search_finds_exactly_what_passes_all_filters(
    collection: retrieval.Collection, filters: dict
) -> None:
    single = [collection.mask(**{name: value}) for name, value in filters.items()]
    keep = np.logical_and.reduce([collection.live, *single])
    query = collection.vectors(3)

    assert (collection.mask(**filters) == keep).all()
    neighbors = collection.search_vectors(query, k=40, **filters)
    assert sorted(neighbors.ids[neighbors.ids >= 0].tolist()) == np.flatnonzero(keep).tolist()
    hits = collection.search(picture(3), k=40, fold_duplicates=False, **filters)
    assert sorted(hit.id for hit in hits) == np.flatnonzero(keep).tolist()
    assert hits.searched == keep.sum()
    expected = collection.search_vectors(query, k=40, mask=keep)
    np.testing.assert_array_equal(neighbors.ids, expected.ids)
    np.testing.assert_array_equal(neighbors.scores, expected.scores)


def test_what_each_filter_keeps(collection: retrieval.Collection) -> None:
    names = ids_by_key(collection)

    def kept(**filters: object) -> set[str]:
        return {collection.key_of(number) for number in np.flatnonzero(collection.mask(**filters))}

    assert kept() == set(names)
    assert kept(under="a") == {name for name in names if name.startswith("a/")}
    assert kept(ids=["a/03.png", names["b/02.png"]]) == {"a/03.png", "b/02.png"}
    assert kept(ids=["a/03.png", names["b/02.png"]], under="b") == {"b/02.png"}
    assert kept(ids=[], glob="*") == set()


@pytest.mark.parametrize(
    "ids",
    [
        3, np.int64(3), [3], (3,), {3}, range(3, 4), np.array([3]), pd.Series([3]), iter([3]), np.array(3), [3, 3], "a/03.png", b"a/03.png",
        ["a/03.png"], np.array(["a/03.png"]), pd.Series(["a/03.png"]), [3, "a/03.png"], Path("a/03.png"),
    ],
    ids=name_of,
)  # fmt: skip
def test_rows_are_named_by_ids_and_keys_in_any_form(collection: retrieval.Collection, ids: object) -> None:
    assert collection.key_of(3) == "a/03.png"
    assert np.flatnonzero(collection.mask(ids=ids)).tolist() == [3]


def test_an_absolute_path_of_a_file_names_its_row(collection: retrieval.Collection, photos: Path) -> None:
    hit = collection.search(picture(3), ids=[photos / "a/03.png"])[0]

    assert hit.path == "a/03.png"
    assert hit.file == photos / "a/03.png"
    assert collection.search(picture(3), ids=[hit.file], k=5) == [hit]


@pytest.mark.parametrize(
    ("error", "filters"),
    [
        (ShapeError, {"mask": np.ones(COUNT - 1, bool)}), (ShapeError, {"mask": [True]}), (ShapeError, {"mask": [0, 1, 2]}),
        (ShapeError, {"mask": np.ones(COUNT)}), (ShapeError, {"mask": np.ones((COUNT, 1), bool)}), (ShapeError, {"mask": "a"}),
        (ShapeError, {"mask": [[True], [True, False]]}), (ShapeError, {"mask": np.arange(COUNT)}),
        (MissingRow, {"ids": [COUNT]}), (MissingRow, {"ids": [-1]}), (MissingRow, {"ids": ["nope.png"]}), (MissingRow, {"ids": b"\xff"}),
        (MissingRow, {"ids": ["b/gone1.png"]}), (MissingRow, {"ids": [14]}), (MissingRow, {"ids": 10**30}),
        (OptionError, {"ids": [1.0]}), (OptionError, {"ids": True}), (OptionError, {"ids": np.ones(COUNT, bool)}),
        (OptionError, {"ids": [True] * COUNT}), (OptionError, {"ids": [None]}), (OptionError, {"ids": 1.5}), (ShapeError, {"ids": [[1, 2]]}),
        (OptionError, {"under": "/elsewhere"}), (OptionError, {"under": "../x"}),
    ],
    ids=name_of,
)  # fmt: skip
def test_a_filter_that_cannot_be_is_one_sentence_in_every_search(collection, error, filters):
    for ask in (
        lambda: collection.search(3, **filters),
        lambda: collection.search_vectors(collection.vectors(3), **filters),
        lambda: collection.mask(**filters),
    ):
        with pytest.raises(error) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_numbers_and_flags_in_each_others_place_are_told_where_they_go(collection):
    with pytest.raises(ShapeError, match=r"got numbers; row ids go to `ids=`"):
        collection.mask(mask=[1, 2, 3])
    with pytest.raises(OptionError, match=r"flags of rows go to `mask=`"):
        collection.mask(ids=collection.live)


def test_a_deleted_row_is_named_and_counted(collection):
    with pytest.raises(MissingRow, match=r"row 14 was deleted.*\(1 such of 3 ids\)"):
        collection.search(3, ids=[13, 14, 15])


def test_copies_that_do_not_pass_are_not_folded_in(collection: retrieval.Collection) -> None:
    (alone,) = collection.search(picture(0), ids=["a/00.png"])
    (both,) = collection.search(picture(0), ids=["a/00.png", "b/copy.png"])

    assert (alone.n_duplicates, both.n_duplicates) == (0, 1)


def test_a_mask_is_the_callers_to_change(collection: retrieval.Collection) -> None:
    for filters in ({}, {"under": "b"}, {"ids": [1]}, {"mask": collection.live.copy()}):
        before = collection.mask(**filters)
        mask = collection.mask(**filters)
        mask[:] = True

        assert (collection.mask(**filters) == before).all()


def test_a_prefix_search_and_an_exact_one_take_ids_too(collection: retrieval.Collection) -> None:
    query = collection.vectors(3)
    for options in ({"exact": True}, {"truncate_dim": 16}, {"nprobe": 2}, {"shortlist": 5}):
        found = collection.search_vectors(query, k=3, ids=[3, 5, 7], **options)
        assert sorted(found.ids[0]) == [3, 5, 7]
    for wrong in ({"exact": True, "truncate_dim": 16}, {"nprobe": 0}, {"truncate_dim": 15}, {"k": 0}):
        with pytest.raises(OptionError):
            collection.search_vectors(query, ids=[3], **wrong)


@pytest.mark.parametrize("kind", ["flat", "ivfpq", "ivfrabitq"])
def test_a_few_ids_cost_nothing_for_the_other_rows(tmp_path, monkeypatch, kind):
    rows = unit(3000, 16, seed=1)
    retrieval.sync_vectors(tmp_path, rows, [f"{n}" for n in range(3000)], kind=kind)
    ids = [2999, 5, 17, 1000]
    seen = []
    real = flat.exact
    monkeypatch.setattr(
        flat, "exact", lambda rows, *args, **options: seen.append(len(rows)) or real(rows, *args, **options)
    )
    with retrieval.open(tmp_path) as opened:
        one = opened.search_vectors(rows[5], k=6, ids=ids)
        many = opened.search_vectors(rows[:20], k=2, ids=ids)
        assert seen == [4, 4]
        monkeypatch.setattr(exact_search, "ROWS", 1)
        through = opened.search_vectors(rows[5], k=6, ids=ids)
        exact = opened.search_vectors(rows[:20], k=2, mask=opened.mask(ids=ids), exact=True)

    assert one.ids[0].tolist()[0] == 5
    assert set(one.ids[0].tolist()) == {*ids, -1}
    np.testing.assert_array_equal(one.ids, through.ids)
    np.testing.assert_array_equal(many.ids, exact.ids)
    np.testing.assert_array_equal(many.scores, exact.scores)


def test_the_old_names_answer(collection: retrieval.Collection) -> None:
    mask = collection.mask(under="b")
    with pytest.warns(DeprecationWarning, match="mask"):
        assert (collection.filter(under="b") == mask).all()
    with pytest.warns(DeprecationWarning, match="mask="):
        found = collection.search_vectors(collection.vectors(3), k=2, keep=mask)
    assert (found.ids == collection.search_vectors(collection.vectors(3), k=2, mask=mask).ids).all()


def test_a_key_that_cannot_be_written_names_no_row(collection: retrieval.Collection) -> None:
    with pytest.raises(MissingRow, match="no row has the key"):
        collection.mask(ids=["\ud800"])
    with pytest.raises(MissingRow, match="no row has the key"):
        collection.id_of("\ud800")
    assert "\ud800" not in collection


def test_a_filter_with_half_a_character_is_refused(collection: retrieval.Collection) -> None:
    for options in ({"under": "\ud800"}, {"glob": "\ud800*"}, {"under": Path("\ud800")}):
        with pytest.raises(OptionError, match="cannot be written as UTF-8"):
            collection.search(0, **options)


@pytest.mark.parametrize("lives", [True, False])
def test_rows_are_counted_where_one_flag_stands_for_all(lives: bool) -> None:
    found = RowFilter(5, flags=np.array([True, False, True, True, False]))

    assert found.searched(np.broadcast_to(np.bool_(lives), 5)) == (3 if lives else 0)
    assert found.searched(np.array([False, True, True, True, True])) == 2
    assert RowFilter(0, flags=np.zeros(0, dtype=np.bool_)).searched(np.broadcast_to(np.True_, 0)) == 0

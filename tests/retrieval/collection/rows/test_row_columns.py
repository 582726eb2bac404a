"""Rows by hand have the columns that they are given, and are deleted by them."""

from __future__ import annotations

import numpy as np
import pytest

import retrieval
from retrieval.cli import main
from retrieval.errors import MissingRow, OptionError, ShapeError
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

DIM = 8


def vectors(count, *, seed=0):
    return np.random.default_rng(seed).standard_normal((count, DIM))


@pytest.fixture
def rows(tmp_path):
    """Yield an open collection of three rows, two of which have columns."""
    with retrieval.create(tmp_path / "rows", dim=DIM) as collection:
        collection.add(vectors(3), ["a", "b", "c"], columns=[{"n": 1, "label": "cat"}, {"n": 2}, {}])
        yield collection


def test_rows_have_the_columns_that_they_were_given(rows):
    assert rows.columns() == [{"label": "cat", "n": 1}, {"n": 2}, {}]
    assert rows["a"].columns == {"label": "cat", "n": 1}
    assert rows.manifest.format == 5
    assert rows.info()["columns"] == {"label": "text", "n": "integer"}
    assert np.flatnonzero(rows.mask(where="n > 1")).tolist() == [1]
    assert all(check.ok for check in rows.verify())


def test_an_upsert_changes_columns_and_without_them_keeps_them(rows):
    same, other = vectors(3)[:1], vectors(1, seed=9)
    rows.upsert(same, ["a"], columns=[{"n": 7}])
    assert rows["a"].columns == {"n": 7}
    assert rows["a"].id == 0
    rows.upsert(same, ["a"])
    assert rows["a"].columns == {"n": 7}
    rows.upsert(other, ["a"])
    assert (rows["a"].columns, rows["a"].id) == ({"n": 7}, 3)
    rows.upsert(other, ["a"], columns={})
    assert rows["a"].columns == {}
    assert np.flatnonzero(rows.mask(where="n IS NULL")).tolist() == [2, 3]


def test_changes_within_one_block_are_seen_by_the_next_call(rows):
    with rows.writer() as writer:
        writer.add(vectors(1, seed=5), ["d"], columns={"n": 4})
        writer.upsert(vectors(1, seed=6), ["d"])
        writer.upsert(vectors(1, seed=6), ["d"], columns=[{"n": 5}])
        writer.upsert(vectors(3)[2:], ["c"], columns=[{"n": 6}])
        assert writer.delete(where="n IN (2, 5, 6)") == 3
    assert list(rows) == ["a"]


def test_rows_are_deleted_by_a_condition(rows):
    assert rows.delete(where="n >= 2") == 1
    assert list(rows) == ["a", "c"]
    assert rows.delete(where="n >= 2") == 0
    with pytest.raises(OptionError, match="no column m"):
        rows.delete(where="m = 1")
    with pytest.raises(OptionError, match="either"):
        rows.delete("a", where="n = 1")
    assert list(rows) == ["a", "c"]
    assert main(["delete", "--where", "label = 'cat'", "--index", str(rows.directory)]) == 0
    rows.refresh()
    assert list(rows) == ["c"]


def test_columns_that_do_not_fit_add_nothing(rows):
    for columns, error in (
        ([{"n": 1}], ShapeError),
        ([{"n": 1}, 3], OptionError),
        ([{"n": [1]}, {}], OptionError),
        ([{"": 1}, {}], OptionError),
    ):
        with pytest.raises(error):
            rows.add(vectors(2), ["x", "y"], columns=columns)
    assert len(rows) == 3
    with pytest.raises(MissingRow):
        rows.delete("x")


def test_a_pandas_table_gives_columns(rows):
    import pandas as pd

    table = pd.DataFrame({"n": [8, 9], "label": ["x", None], "score": [0.5, float("nan")]})
    rows.add(vectors(2, seed=3), ["x", "y"], columns=table)

    assert rows["x"].columns == {"label": "x", "n": 8, "score": 0.5}
    assert rows["y"].columns == {"n": 9}


def test_images_by_hand_have_their_headers_columns_where_the_collection_keeps_them(tmp_path):
    encoder = FakeEncoder(name="columns", dim=16)
    photos = fill(tmp_path / "photos", ["a.png"])
    picture(5, size=70).save(tmp_path / "more.png")
    for headers, expected in ((True, 70), (False, None)):
        index = tmp_path / f"index {headers}"
        retrieval.build_index(photos, index=index, encoder=encoder, headers=headers, progress=False)
        with retrieval.open(index, encoder=encoder) as collection:
            collection.add_images([tmp_path / "more.png", picture(6)], ["more", "pixels"])
            assert collection["more"].columns.get("width") == expected
            assert collection["pixels"].columns == {}


def test_rows_of_files_are_not_deleted_by_a_condition(tmp_path):
    encoder = FakeEncoder(name="columns", dim=16)
    photos = fill(tmp_path / "photos", ["a.png", "b.png"])
    retrieval.build_index(photos, encoder=encoder, progress=False)
    with retrieval.open(photos, encoder=encoder) as collection:
        with pytest.raises(OptionError, match="belongs to"):
            collection.delete(where="width > 1")
        assert len(collection) == 2

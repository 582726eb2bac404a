"""Look around in a collection: keys, rows by id and key, vectors; keys that are no UTF-8 stay reachable."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.collection import row_view
from retrieval.errors import ImageError, MissingRow, OptionError, QueryError, ShapeError, StoreClosed
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

ENCODER = FakeEncoder()
NAMES = ["a/0.png", "a/1.png", "b/2.png", "b/3.png"]
ODD = b"b/\xff.png"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five rows; row 1 was deleted, and the key of the last is no UTF-8."""
    folder = fill(tmp_path_factory.mktemp("c") / "photos", [*NAMES, os.fsdecode(ODD)])
    retrieval.build_index(folder, encoder=ENCODER)
    (folder / "a/1.png").unlink()
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


KEYS = ["a/0.png", "b/2.png", "b/3.png", os.fsdecode(ODD)]
IDS = [0, 2, 3, 4]


def test_a_collection_is_gone_through_key_by_key(collection: retrieval.Collection) -> None:
    assert list(collection) == list(collection.keys()) == KEYS
    assert [collection.id_of(key) for key in collection] == IDS
    assert len(collection) == len(collection.keys()) == 4
    keys = collection.keys()
    assert "a/0.png" in keys
    assert 0 not in keys
    assert repr(collection.keys()) == f"<4 keys of {str(collection.directory)!r}>"


def test_keys_are_read_as_one_goes(collection: retrieval.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_view, "_AT_ONCE", 2)
    keys = iter(collection)

    assert next(keys) == "a/0.png"
    assert list(keys) == KEYS[1:]
    assert list(collection) == KEYS


@pytest.mark.parametrize("name", ["b/2.png", b"b/2.png", Path("b/2.png"), 2, np.int64(2)], ids=repr)
def test_a_row_is_found_by_key_and_by_id(
    collection: retrieval.Collection, photos: Path, name: object
) -> None:
    row = collection[name]

    assert (row.id, row.key) == (2, "b/2.png")
    assert name in collection
    assert row.file == photos / "b/2.png"
    assert row.link == str(photos / "b/2.png")
    assert row.open().size == picture(2).size
    assert row.open().mode == "RGB"
    assert set(row.columns) == {"bytes", "height", "width"}
    assert repr(row) == "<Row 2: 'b/2.png'>"
    np.testing.assert_array_equal(row.vector, collection.vectors(2)[0])


def test_a_key_that_is_no_utf_8_is_reachable(collection: retrieval.Collection, photos: Path) -> None:
    key = os.fsdecode(ODD)

    assert collection.id_of(key) == collection.id_of(ODD) == 4
    assert os.fsencode(collection[4].key) == ODD
    assert collection[key].open().size == picture(4).size
    assert [hit.id for hit in collection.search(picture(4), ids=ODD)] == [4]
    assert collection.search(photos / key, k=1, include_self=True)[0].path == key
    assert collection.export()[1][-1] == key


def test_a_file_anywhere_below_the_folder_is_a_key(collection: retrieval.Collection, photos: Path) -> None:
    assert collection.id_of(photos / "b/3.png") == 3
    assert photos / "b/3.png" in collection
    assert str(photos / "b/3.png") not in collection  # text is a key as it stands


@pytest.mark.parametrize(
    "name", ["nope", "a/1.png", 1, 5, -1, b"", 10**30, Path("/elsewhere/x.png")], ids=repr
)
def test_a_row_that_is_not_there(collection: retrieval.Collection, name: object) -> None:
    assert name not in collection
    with pytest.raises(MissingRow) as caught:
        _ = collection[name]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [None, 1.0, True, object()], ids=["None", "1.0", "True", "object"])
def test_what_names_no_row(collection: retrieval.Collection, name: object) -> None:
    assert name not in collection
    with pytest.raises(OptionError):
        _ = collection[name]


@pytest.mark.parametrize("several", [slice(0, 2), [0, 2], (0, 2), np.array([0, 2])], ids=repr)
def test_several_rows_are_asked_for_with_vectors(collection: retrieval.Collection, several: object) -> None:
    with pytest.raises(OptionError, match=r"one row.*`vectors\(\[…\]\)`"):
        _ = collection[several]


def test_id_of_takes_keys_and_key_of_takes_ids(collection: retrieval.Collection) -> None:
    assert [collection.key_of(number) for number in IDS] == KEYS
    assert collection.key_of(1) == "a/1.png"  # what it was
    for wrong in (2, None, ["b/2.png"]):
        with pytest.raises(OptionError, match="is no key"):
            collection.id_of(wrong)
    with pytest.raises(OptionError, match="is a key"):
        collection.key_of("b/2.png")


def test_vectors_come_in_the_order_of_what_was_asked(collection: retrieval.Collection) -> None:
    by_key = {key: collection.vectors(key)[0] for key in collection}
    flags = np.array([True, False, False, True, False])

    for asked, keys in [
        (["b/3.png", "a/0.png"], ["b/3.png", "a/0.png"]),
        ([3, 0, 3], ["b/3.png", "a/0.png", "b/3.png"]),
        ([3, "a/0.png"], ["b/3.png", "a/0.png"]),
        (flags, ["a/0.png", "b/3.png"]),
        (flags.tolist(), ["a/0.png", "b/3.png"]),
        (range(2, 4), ["b/2.png", "b/3.png"]),
        (None, KEYS),
        (collection.keys(), KEYS),
        ([], []),
    ]:
        np.testing.assert_array_equal(
            collection.vectors(asked), np.reshape([by_key[key] for key in keys], (-1, 64))
        )
    for wrong, error in [
        (["nope"], MissingRow),
        ([9], MissingRow),
        (flags[:3], ShapeError),
        ([0.5], OptionError),
    ]:
        with pytest.raises(error):
            collection.vectors(wrong)


def test_an_array_of_a_collection_has_a_row_a_key(collection: retrieval.Collection) -> None:
    array = np.asarray(collection)

    assert (array.shape, array.dtype) == ((4, 64), np.float16)
    np.testing.assert_array_equal(array, collection.export()[0])
    np.testing.assert_array_equal(np.array(collection, dtype=np.float32), collection.vectors())


def test_a_row_without_a_file_says_so(tmp_path: Path) -> None:
    retrieval.sync_vectors(tmp_path, np.eye(3, dtype=np.float32), ["x", "y", "z"])
    with retrieval.open(tmp_path) as opened:
        assert opened["y"].vector.tolist() == [0, 1, 0]
        with pytest.raises(ImageError, match="cannot be read"):
            opened["y"].open()


def test_an_old_reader_finds_the_keys_that_it_shows(tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    retrieval.build_index(tmp_path, encoder=ENCODER)
    with retrieval.open(tmp_path, encoder=ENCODER) as reader:
        (tmp_path / "a/1.png").unlink()
        picture(77).save(tmp_path / "b/2.png")
        retrieval.build_index(tmp_path, encoder=ENCODER)

        assert [reader.id_of(key) for key in reader] == [0, 1, 2, 3]
        assert "b/4.png" not in reader
        reader.refresh()
        assert [reader.id_of(key) for key in reader] == [0, 3, 4]


def test_a_copy_looks_around_too(collection: retrieval.Collection) -> None:
    with copy.copy(collection) as other:
        assert list(other) == KEYS


def test_a_row_or_a_hit_is_no_query_but_has_an_id(collection: retrieval.Collection) -> None:
    for found in (collection[2], collection.search(2)[0]):
        with pytest.raises(QueryError, match=r"give its `id`"):
            collection.search(found)
        assert collection.search(found.id, k=1)


def test_a_closed_collection_says_so(photos: Path) -> None:
    opened = retrieval.open(photos, encoder=ENCODER)
    row = opened[2]
    opened.close()

    for use in (
        lambda: opened[2],
        lambda: list(opened),
        lambda: 2 in opened,
        lambda: row.vector,
        lambda: np.asarray(opened),
    ):
        with pytest.raises(StoreClosed, match="is closed; open it again"):
            use()


def test_wrong_guesses_name_the_right_attribute(collection: retrieval.Collection) -> None:
    for guess, meant in [("paths", "keys"), ("serach", "'search'"), ("query", "search"), ("find", "search")]:
        with pytest.raises(AttributeError, match=meant):
            getattr(collection, guess)
    assert not hasattr(collection, "_private")
    with pytest.raises(AttributeError, match="use key"):
        _ = collection[2].path
    with pytest.raises(AttributeError, match="'vector'"):
        _ = collection[2].vectr


def test_the_old_names_answer(collection: retrieval.Collection) -> None:
    with pytest.warns(DeprecationWarning, match="key_of"):
        assert collection.path(2) == "b/2.png"
    with pytest.warns(DeprecationWarning, match="id_of"):
        assert collection.ids_by_path() == dict(zip(KEYS, IDS, strict=True))

"""A build keeps what files and sources say of images as columns, and encodes nothing for them."""

from __future__ import annotations

import json
import os
import shutil

import pytest

import retrieval
from indexes.generation import read_manifest
from retrieval.errors import ImageError
from retrieval.ingestion import one_collection as build_module
from retrieval.sources import FolderSource
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture, touch_later

ENCODER = FakeEncoder(name="columns", dim=16)


def build(folder, **options):
    return retrieval.build_index(folder, encoder=ENCODER, progress=False, **options)


def columns_of(folder):
    with retrieval.open(folder, encoder=ENCODER) as collection:
        return {key: collection[key].columns for key in collection}


@pytest.fixture
def photos(tmp_path):
    """Return a folder of three pictures."""
    return fill(tmp_path / "photos", ["a.png", "b/c.png", "d.png"])


def expected(path, *, side=48):
    return {"bytes": path.stat().st_size, "width": side, "height": side}


def test_a_new_collection_keeps_what_its_files_say(photos):
    build(photos)

    assert columns_of(photos) == {key: expected(photos / key) for key in ("a.png", "b/c.png", "d.png")}
    manifest = read_manifest(photos / ".retrieve")
    assert manifest.format == 5
    assert manifest.columns.types == {"bytes": "integer", "width": "integer", "height": "integer"}
    assert manifest.columns.rows == 3


def test_hits_have_columns_in_python_and_in_json(photos):
    build(photos)
    with retrieval.open(photos, encoder=ENCODER) as collection:
        hit = collection.search(photos / "a.png", include_self=True)[0]
        again = json.loads(json.dumps(hit))

        assert hit.columns == expected(photos / "a.png") == again["columns"] == dict(hit)["columns"]
        assert collection.columns([2, 0]) == [collection["d.png"].columns, hit.columns]
        assert len(collection.columns()) == 3


def test_a_build_of_the_same_files_publishes_nothing(photos):
    build(photos)
    before = read_manifest(photos / ".retrieve").version
    build(photos)

    assert read_manifest(photos / ".retrieve").version == before


def test_new_changed_moved_and_copied_files_have_their_own(photos):
    build(photos)
    fill(photos, ["new.png"], first=9)
    picture(11, size=64).save(photos / "a.png")
    os.rename(photos / "b" / "c.png", photos / "moved.png")
    shutil.copy(photos / "d.png", photos / "copy.png")
    touch_later(photos / "d.png")
    report = build(photos)

    assert (report.encoded, report.moved) == (2, 1)
    assert columns_of(photos) == {
        key: expected(photos / key, side=64 if key == "a.png" else 48)
        for key in ("a.png", "moved.png", "d.png", "new.png", "copy.png")
    }


def test_a_collection_without_stays_as_it_is_until_it_is_asked(photos):
    build(photos, headers=False)
    assert read_manifest(photos / ".retrieve").format == 3
    fill(photos, ["new.png"], first=9)
    build(photos)
    assert (read_manifest(photos / ".retrieve").format, read_manifest(photos / ".retrieve").columns) == (
        3,
        None,
    )
    assert columns_of(photos)["new.png"] == {}
    with retrieval.open(photos, encoder=ENCODER) as collection:
        assert "columns" not in collection.search("red")[0]


def test_asked_it_reads_the_headers_once_and_encodes_nothing(photos, monkeypatch):
    build(photos, headers=False)
    heads = []
    read_head = FolderSource.read_head
    monkeypatch.setattr(
        FolderSource,
        "read_head",
        lambda self, entry, size: heads.append(entry.key) or read_head(self, entry, size),
    )
    report = build(photos, headers=True)

    assert report.encoded == 0
    assert sorted(heads) == [b"a.png", b"b/c.png", b"d.png"]
    assert columns_of(photos) == {key: expected(photos / key) for key in ("a.png", "b/c.png", "d.png")}
    before = read_manifest(photos / ".retrieve").version
    build(photos)
    build(photos, headers=True)
    assert len(heads) == 3
    assert read_manifest(photos / ".retrieve").version == before
    with retrieval.open(photos) as collection:
        assert all(check.ok for check in collection.verify())


def test_a_file_that_went_meanwhile_keeps_its_row_without_columns(photos, monkeypatch):
    build(photos, headers=False)
    read_head = FolderSource.read_head

    def gone(self, entry, size):
        if entry.key == b"d.png":
            (photos / "d.png").unlink(missing_ok=True)
        return read_head(self, entry, size)

    monkeypatch.setattr(FolderSource, "read_head", gone)
    build(photos, headers=True)

    found = columns_of(photos)
    assert found.pop("d.png") == {}
    assert found == {key: expected(photos / key) for key in ("a.png", "b/c.png")}


def test_an_interrupted_first_build_keeps_its_choice(photos, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "finish_build", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(photos)
    assert columns_of(photos)["a.png"] == expected(photos / "a.png")
    fill(photos, ["new.png"], first=9)
    build(photos)

    assert columns_of(photos)["new.png"] == expected(photos / "new.png")
    assert read_manifest(photos / ".retrieve").columns.rows == 4


CAPTIONS = {b"a.png": "a red bus", b"d.png": "snow"}


def captioned(_source, entry):
    return {"caption": CAPTIONS[entry.key]} if entry.key in CAPTIONS else {}


def test_a_source_gives_columns_of_its_own(photos, monkeypatch):
    monkeypatch.setattr(FolderSource, "columns", captioned, raising=False)
    build(photos)

    found = columns_of(photos)
    assert found["a.png"] == expected(photos / "a.png") | {"caption": "a red bus"}
    assert found["b/c.png"] == expected(photos / "b" / "c.png")
    assert read_manifest(photos / ".retrieve").columns.types["caption"] == "text"


def test_an_image_whose_columns_cannot_be_read_is_taken_without_them_and_said(photos, monkeypatch):
    monkeypatch.setattr(FolderSource, "columns", captioned, raising=False)
    build(photos)
    captions = columns_of(photos)

    def damaged(_source, entry):
        if entry.key == b"d.png":
            raise ImageError("d.png: cut", reason="read-error", what="cut")
        return {"caption": "new"}

    monkeypatch.setattr(FolderSource, "columns", damaged, raising=False)
    fill(photos, ["e.png"])
    for name in ("a.png", "d.png"):
        touch_later(photos / name)
    said = []
    report = retrieval.build_index(photos, encoder=ENCODER, progress=said.append)

    found = columns_of(photos)
    assert found["d.png"] == captions["d.png"]
    assert (found["a.png"]["caption"], found["e.png"]["caption"]) == ("new", "new")
    assert report.skipped == 0
    assert [
        "d.png has columns that cannot be read (cut)" in step.message for step in said if step.message
    ] == [True]


def test_urls_in_columns_lose_what_grants_access(photos, monkeypatch):
    said = {"source": "from https://me:pw1@h/a.jpg?sig=pw2&v=1", "n": 3}
    monkeypatch.setattr(FolderSource, "columns", lambda *_: said, raising=False)
    build(photos)

    found = columns_of(photos)["a.png"]
    assert (found["source"], found["n"]) == ("from https://h/a.jpg?v=1", 3)


def test_columns_stay_when_rows_are_added_by_hand(photos):
    build(photos)
    with retrieval.open(photos, encoder=ENCODER) as collection:
        number = collection.add([[1.0, *[0.0] * 15]], ["mine"])[0]

        assert collection.columns([number, 0]) == [{}, expected(photos / "a.png")]
        assert collection.manifest.columns.rows == 4
    assert columns_of(photos)["mine"] == {}


def listing(photos, captions):
    """Write a list of pictures with captions."""
    path = photos.parent / "list.csv"
    lines = ["path,caption", *(f"photos/{key},{text}" for key, text in captions.items())]
    path.write_text("\n".join(lines) + "\n")
    touch_later(path, seconds=len("".join(lines)))
    return path


def test_a_changed_caption_encodes_nothing_and_reads_no_image(photos, tmp_path):
    index = tmp_path / "index"
    path = listing(photos, {"a.png": "a red bus", "d.png": "snow"})
    build(path, index=index, column=["caption"])
    captions = {key: columns["caption"] for key, columns in columns_of(index).items()}
    assert captions == {"photos/a.png": "a red bus", "photos/d.png": "snow"}

    listing(photos, {"a.png": "a green bus at night", "d.png": "snow"})
    report = build(path, index=index)
    assert (report.encoded, report.reused, report.moved, report.removed) == (0, 0, 0, 0)
    found = columns_of(index)
    assert found["photos/a.png"] == expected(photos / "a.png") | {"caption": "a green bus at night"}
    assert found["photos/d.png"]["caption"] == "snow"
    with retrieval.open(index, encoder=ENCODER) as collection:
        assert collection.mask(where="caption LIKE '%green%'").tolist() == [True, False]

    before = read_manifest(index).version
    build(path, index=index)
    assert read_manifest(index).version == before


def test_a_column_that_is_asked_for_later_is_filled_without_reading_images(photos, tmp_path):
    index = tmp_path / "index"
    path = tmp_path / "list.csv"
    path.write_text("path,caption,label\nphotos/a.png,a bus,vehicle\nphotos/d.png,snow,weather\n")
    build(path, index=index, column=["caption"])
    assert "label" not in columns_of(index)["photos/a.png"]

    report = build(path, index=index, column=["caption", "label"])
    assert report.encoded == 0
    assert {columns["label"] for columns in columns_of(index).values()} == {"vehicle", "weather"}
    build(path, index=index, column=["label"])
    assert "caption" not in columns_of(index)["photos/a.png"]


CELLS = {"year": ["1986", "nan", "1990"], "shelf": ["007", "186", "12"], "size": ["1.5", "", "2"]}


def written(photos, name="list.csv"):
    """Write a list of the pictures with the columns of `CELLS`."""
    path = photos.parent / name
    lines = zip(["photos/a.png", "photos/b/c.png", "photos/d.png"], *CELLS.values(), strict=True)
    path.write_text("\n".join([",".join(["file", *CELLS]), *map(",".join, lines)]) + "\n")
    return path


def test_a_column_of_a_list_is_of_one_kind_and_gaps_are_gaps(photos):
    path, index = written(photos), photos.parent / "index"
    report = build(path, index=index, column=list(CELLS))

    types = read_manifest(index).columns.types
    assert {name: types[name] for name in CELLS} == {"year": "integer", "shelf": "text", "size": "number"}
    found = [{name: columns.get(name) for name in CELLS} for columns in columns_of(index).values()]
    assert found == [
        {"year": 1986, "shelf": "007", "size": 1.5},
        {"year": None, "shelf": "186", "size": None},
        {"year": 1990, "shelf": "12", "size": 2},
    ]
    assert [note.partition(": ")[2][:22] for note in report.notes] == [
        "column year is of numb",
        "column shelf is text, ",
    ]


def test_what_is_stored_stays_until_the_list_changes(photos, monkeypatch):
    path, index = written(photos), photos.parent / "index"
    with monkeypatch.context() as before:  # as earlier versions did, each cell for itself
        before.setattr(
            "retrieval.sources.listings.cells.Cells.value",
            lambda _, text: int(text) if text.isdecimal() and text[0] != "0" else text or None,
        )
        build(path, index=index, column=list(CELLS))
    stored = columns_of(index)
    assert [columns["shelf"] for columns in stored.values()] == ["007", 186, 12]

    build(path, index=index)
    assert columns_of(index) == stored

    path.write_text(path.read_text().replace("1990", "1991"))
    build(path, index=index)
    assert [columns["shelf"] for columns in columns_of(index).values()] == ["007", "186", "12"]

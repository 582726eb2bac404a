"""Each generation has the index of its rows' names, made from the one before where that is possible."""

from __future__ import annotations

import ast
import os
from dataclasses import replace
from pathlib import Path

import pytest

import retrieval
from indexes.derivation import derive
from indexes.generation import further_files, generation_path, read_manifest, write_manifest
from indexes.generation.row_files import row_files
from indexes.store import VectorStore, WriterLock
from retrieval.collection.rows import derived_files
from retrieval.columns import pack
from retrieval.names import NAMES, has_fts5
from retrieval.names.name_index import NameIndex
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, touch_later

ENCODER = FakeEncoder(dim=16)
PACKAGE = Path(retrieval.__file__).parent


def build(folder: Path) -> None:
    retrieval.build_index(folder, encoder=ENCODER, progress=False)


def place(folder: Path) -> Path:
    directory = folder / ".retrieve"
    return generation_path(directory, read_manifest(directory).generation) / NAMES


def found(folder: Path, word: str) -> list[str]:
    """Return the keys of the live rows that a word finds."""
    with retrieval.open(folder, encoder=ENCODER) as collection:
        rows = NameIndex(place(folder)).rows([word]).tolist()
        return [collection.key_of(row) for row in rows if collection.live[row]]


def test_a_build_writes_it_and_the_manifest_names_it(tmp_path: Path) -> None:
    build(fill(tmp_path, ["dogs/a.png", "cats/b.png"]))

    assert found(tmp_path, "dog") == ["dogs/a.png"]
    assert NAMES in read_manifest(tmp_path / ".retrieve").files


def test_verify_finds_a_changed_bit(tmp_path: Path) -> None:
    build(fill(tmp_path, ["dogs/a.png"]))
    data = bytearray(place(tmp_path).read_bytes())
    data[2000] ^= 1
    place(tmp_path).write_bytes(data)

    with retrieval.open(tmp_path, encoder=ENCODER) as collection:
        wrong = [check for check in collection.verify() if not check.ok]

    assert [Path(check.path).name for check in wrong] == [NAMES]
    assert "delete this one file" in wrong[0].cure


def test_the_next_build_adds_new_rows_and_follows_moved_ones(tmp_path: Path) -> None:
    build(fill(tmp_path, [f"dogs/{number}.png" for number in range(12)]))
    fill(tmp_path, ["cats/new.png"], first=50)
    (tmp_path / "wolves").mkdir()
    os.rename(tmp_path / "dogs" / "3.png", tmp_path / "wolves" / "3.png")
    build(tmp_path)

    assert found(tmp_path, "cat") == ["cats/new.png"]
    assert found(tmp_path, "wolve") == ["wolves/3.png"]
    index = NameIndex(place(tmp_path))
    assert (len(index), len(index.moved)) == (13, 1)


def test_when_most_rows_have_moved_it_is_made_anew(tmp_path: Path) -> None:
    build(fill(tmp_path, [f"dogs/{number}.png" for number in range(6)]))
    os.rename(tmp_path / "dogs", tmp_path / "wolves")
    build(tmp_path)

    assert found(tmp_path, "dog") == []
    assert len(found(tmp_path, "wolve")) == 6
    assert len(NameIndex(place(tmp_path)).moved) == 0


def test_a_replaced_image_is_found_once(tmp_path: Path) -> None:
    build(fill(tmp_path, ["dogs/a.png", "dogs/b.png"]))
    fill(tmp_path, ["dogs/a.png"], first=70)
    touch_later(tmp_path / "dogs/a.png")
    build(tmp_path)

    assert sorted(found(tmp_path, "dog")) == ["dogs/a.png", "dogs/b.png"]


def test_deletions_alone_leave_the_file_as_it_is(tmp_path: Path) -> None:
    build(fill(tmp_path, ["dogs/a.png", "dogs/b.png", "dogs/c.png"]))
    before = place(tmp_path).stat().st_ino
    (tmp_path / "dogs/b.png").unlink()
    build(tmp_path)

    assert place(tmp_path).stat().st_ino == before
    assert found(tmp_path, "dog") == ["dogs/a.png", "dogs/c.png"]


def test_a_collection_of_an_earlier_version_gets_one_with_the_next_build(tmp_path: Path) -> None:
    build(fill(tmp_path, ["dogs/a.png"]))
    directory = tmp_path / ".retrieve"
    manifest = read_manifest(directory)
    place(tmp_path).unlink()
    files = {name: info for name, info in manifest.files.items() if name != NAMES}
    write_manifest(directory, replace(manifest, files=files))
    build(tmp_path)

    assert found(tmp_path, "dog") == ["dogs/a.png"]
    generation = read_manifest(directory).generation
    build(tmp_path)
    assert read_manifest(directory).generation == generation


def test_a_damaged_one_is_not_taken_over(tmp_path: Path) -> None:
    build(fill(tmp_path, ["dogs/a.png"]))
    data = bytearray(place(tmp_path).read_bytes())
    data[100:4000] = bytes(3900)
    place(tmp_path).write_bytes(data)
    fill(tmp_path, ["dogs/b.png"], first=5)
    build(tmp_path)

    assert found(tmp_path, "dog") == ["dogs/a.png", "dogs/b.png"]


def test_without_fts5_a_build_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.collection.rows.generation_files.has_fts5", lambda: False)
    build(fill(tmp_path, ["dogs/a.png"]))

    assert NAMES not in read_manifest(tmp_path / ".retrieve").files


def test_this_python_has_fts5() -> None:
    assert has_fts5()


def test_every_publish_gives_the_derived_files() -> None:
    """A call that leaves them out would publish a generation without names."""
    forgotten = []
    for path in PACKAGE.glob("**/*.py"):
        if path.parent.name == "views":  # of images, which have the names
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in (
                "derive",
                "publish_tail",
            ):
                continue
            if "derived" not in {keyword.arg for keyword in node.keywords}:
                forgotten.append(f"{path.name}:{node.lineno}")

    assert forgotten == []


def listing(folder: Path, captions: list[str]) -> Path:
    """Return a list of pictures with captions; the same place always has the same picture."""
    fill(folder, [f"{number}.png" for number in range(len(captions))])
    lines = [f"{number}.png,{caption}\n" for number, caption in enumerate(captions)]
    (folder / "list.csv").write_text("".join(["path,caption\n", *lines]))
    return folder / "list.csv"


def test_captions_find_their_images_and_a_hit_names_the_column(tmp_path: Path) -> None:
    source = listing(tmp_path, ["a red bus", "a dog", "two dogs in snow", "a tree"])
    retrieval.build_index(source, index=tmp_path / "index", encoder=ENCODER, progress=False)

    with retrieval.open(tmp_path / "index", encoder=ENCODER) as collection:
        hits = collection.search("dogs", names="only")

        assert sorted(hit.path for hit in hits) == ["1.png", "2.png"]
        assert all("caption" in hit.matched for hit in hits)
        assert all(not set(hit.matched) & {"width", "path"} for hit in hits)


def changed_caption(directory: Path, row: int, caption: str) -> None:
    """Give a row another caption in the store, as a build does."""
    with (
        WriterLock(directory) as lock,
        VectorStore.open(directory, dim=16, writable=True, lock=lock) as store,
    ):
        store.set_columns(row, pack({}, {"caption": caption}))
        store.commit()


@pytest.mark.parametrize("rows", [4, 12])
def test_a_changed_caption_answers_after_the_next_publish_and_the_old_one_does_not(
    tmp_path: Path, rows: int
) -> None:
    """Of a few rows the index is made anew; of more the changed one is added."""
    source = listing(tmp_path, ["a dog"] * rows)
    directory = tmp_path / "index"
    retrieval.build_index(source, index=directory, encoder=ENCODER, progress=False)
    with retrieval.open(directory, encoder=ENCODER) as before:
        row = before.id_of("1.png")
        changed_caption(directory, row, "a zebra")

        assert "1.png" not in [hit.path for hit in before.search("dog", k=rows, names="only")]
        derive(
            directory,
            VectorStore.open(directory, dim=16),
            space=before.space,
            encoder=None,
            sources=before.manifest.sources,
            derived=derived_files(),
        )
        before.refresh()

        assert [hit.path for hit in before.search("zebra", names="only")] == ["1.png"]
        assert len(before.search("dog", k=rows, names="only")) == rows - 1


def test_nothing_is_published_where_no_column_changed(tmp_path: Path) -> None:
    source = listing(tmp_path, ["a dog", "a cat"])
    directory = tmp_path / "index"
    retrieval.build_index(source, index=directory, encoder=ENCODER, progress=False)
    generation = read_manifest(directory).generation
    retrieval.build_index(index=directory, encoder=ENCODER, progress=False)

    assert read_manifest(directory).generation == generation


def test_rows_added_to_a_large_index_get_one_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "LARGE", 3)
    files = ["dogs/a.png", "cats/b.png", "dogs/c.png"]
    build(fill(tmp_path, files))
    first = place(tmp_path).stat().st_ino
    for more in (["birds/d.png"] + [f"birds/{number}.png" for number in range(8)], ["dogs/e.png"]):
        fill(tmp_path, more)
        files += more
        build(tmp_path)
    manifest = read_manifest(tmp_path / ".retrieve")
    assert further_files(manifest.files, NAMES) == [0, 3, 12]
    assert place(tmp_path).stat().st_ino == first
    with retrieval.open(tmp_path, encoder=ENCODER) as collection:
        found = {hit.path for hit in collection.search("dog", k=20, names="only", fold_duplicates=False)}
        assert found == {name for name in files if name.startswith("dogs")}
        assert len(collection.search("bird", k=20, names="only", fold_duplicates=False)) == 9

    (tmp_path / "birds" / "d.png").rename(tmp_path / "dogs" / "d.png")
    build(tmp_path)
    manifest = read_manifest(tmp_path / ".retrieve")
    assert further_files(manifest.files, NAMES) == [0]
    with retrieval.open(tmp_path, encoder=ENCODER) as collection:
        found = {hit.path for hit in collection.search("dog", k=20, names="only", fold_duplicates=False)}
    assert found == {name for name in files if name.startswith("dogs")} | {"dogs/d.png"}

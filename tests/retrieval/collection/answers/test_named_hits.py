"""Words are looked up in names, too: what is called so is found, and common words do not drown what the pictures show."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from indexes.generation import generation_path, read_manifest, write_manifest
from retrieval.errors import CapabilityMissing, OptionError, StoreCorrupt, UnknownWords
from retrieval.names import NAMES
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

FOLDERS = ("valio vanilla yoghurt", "Müller/Joghurt", "holiday in Paris", "dogs", "cats")
KEYS = [f"{folder}/{number}.png" for folder in FOLDERS for number in range(6)]


class Reader(FakeEncoder):
    """A fake encoder that says which words it has learned: those of one letter and `dogs`."""

    def known_words(self, text: str) -> list[str]:
        return [word for word in text.split() if len(word) == 1 or word == "dogs"]

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.split() if word not in self.known_words(text)]


class Blind(FakeEncoder):
    """A fake encoder without a text side."""

    encode_text = property()  # type: ignore[assignment]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = fill(tmp_path_factory.mktemp("names") / "photos", KEYS)
    retrieval.build_index(home, encoder=FakeEncoder(dim=16), progress=False)
    return home


@pytest.fixture
def photos(folder: Path) -> Iterator[retrieval.Collection]:
    with retrieval.open(folder, encoder=FakeEncoder(dim=16)) as collection:
        yield collection


def paths(hits: Any) -> list[str]:
    return [hit.path for hit in hits]


def test_a_name_finds_its_folder_first(photos: retrieval.Collection) -> None:
    hits = photos.search("valio vanilla yoghurt", k=6)

    assert {os.path.dirname(path) for path in paths(hits)} == {"valio vanilla yoghurt"}
    assert all("path" in hit.matched for hit in hits)


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("muller", "Müller/Joghurt"),
        ("PARIS", "holiday in Paris"),
        ("cat", "cats"),
        ("Yoghurts valio", FOLDERS[0]),
    ],
)
def test_case_accents_and_plurals_make_no_difference(
    photos: retrieval.Collection, query: str, there: str
) -> None:
    assert {os.path.dirname(path) for path in paths(photos.search(query, k=6, names="only"))} == {there}


def test_scores_stay_cosines_and_the_nearest_of_a_folder_come_first(photos: retrieval.Collection) -> None:
    hits = photos.search("valio vanilla yoghurt", k=6)
    every = {hit.path: hit.score for hit in photos.search("valio vanilla yoghurt", k=30, names="off")}

    assert [hit.score for hit in hits] == [every[hit.path] for hit in hits]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_word_that_no_name_has_changes_nothing(photos: retrieval.Collection) -> None:
    hits = photos.search("zebra crossing", k=8)

    assert paths(hits) == paths(photos.search("zebra crossing", k=8, names="off"))
    assert {hit.matched for hit in hits} == {("image",)}


def test_off_says_nothing_of_names(photos: retrieval.Collection) -> None:
    assert all("matched" not in hit for hit in photos.search("dogs", names="off"))


def test_matched_tells_whether_the_image_was_found_without_its_name(photos: retrieval.Collection) -> None:
    without = paths(photos.search("dogs", k=10, names="off"))

    hits = photos.search("dogs", k=10)

    assert [("image" in hit.matched) for hit in hits] == [path in without for path in paths(hits)]
    assert [("path" in hit.matched) for hit in hits] == [path.startswith("dogs/") for path in paths(hits)]
    assert [hit["matched"] for hit in hits] == [list(hit.matched) for hit in hits]


def test_a_word_of_every_row_says_nothing(tmp_path: Path) -> None:
    fill(tmp_path, [f"photos/{number}.png" for number in range(12)])
    retrieval.build_index(tmp_path, encoder=FakeEncoder(dim=16), progress=False)
    with retrieval.open(tmp_path, encoder=FakeEncoder(dim=16)) as collection:
        hits = collection.search("animals in photos", k=5)

        assert paths(hits) == paths(collection.search("animals in photos", k=5, names="off"))


def test_min_score_does_not_apply_to_what_only_names_found(photos: retrieval.Collection) -> None:
    hits = photos.search("valio vanilla", k=30, min_score=0.99)

    assert {os.path.dirname(path) for path in paths(hits)} == {"valio vanilla yoghurt"}
    assert {hit.matched for hit in hits} == {("path",)}


def test_filters_hold_for_names_too(photos: retrieval.Collection) -> None:
    mask = photos.mask(glob="*/3.png")

    assert paths(photos.search("dogs", k=3, names="only", under="cats")) == []
    assert paths(photos.search("dogs", k=3, names="only", mask=mask)) == ["dogs/3.png"]
    assert paths(photos.search("dogs", k=3, names="only", glob="dogs/[12].png", ids=range(30))) in (
        ["dogs/1.png", "dogs/2.png"],
        ["dogs/2.png", "dogs/1.png"],
    )
    assert all(path.startswith("cats/") for path in paths(photos.search("dogs", k=9, under="cats")))


def test_only_gives_nothing_that_has_no_such_name(photos: retrieval.Collection) -> None:
    assert len(photos.search("dogs", k=30, names="only")) == 6
    assert photos.search("nothing", names="only") == []


def test_an_image_is_compared_by_vectors_alone(photos: retrieval.Collection) -> None:
    asked = picture(3)

    assert photos.search(asked, k=5) == photos.search(asked, k=5, names="off")
    both = retrieval.image(asked) + 0.5 * retrieval.text("dogs")
    assert photos.search(both, k=5) == photos.search(both, k=5, names="off")


def test_what_is_subtracted_names_nothing(photos: retrieval.Collection) -> None:
    hits = photos.search("valio vanilla yoghurt", minus="dogs", k=6)

    assert {os.path.dirname(path) for path in paths(hits)} == {"valio vanilla yoghurt"}


def test_only_with_an_image_and_words_looks_the_words_up(photos: retrieval.Collection) -> None:
    both = retrieval.image(picture(3)) + retrieval.text("dogs")

    assert {os.path.dirname(path) for path in paths(photos.search(both, names="only"))} == {"dogs"}
    with pytest.raises(OptionError, match="the query has none"):
        photos.search(retrieval.image(picture(3)), names="only")


@pytest.mark.parametrize("wrong", ["yes", True, None])
def test_names_is_one_of_three_words(photos: retrieval.Collection, wrong: Any) -> None:
    with pytest.raises(OptionError, match="'auto', 'only', 'off'"):
        photos.search("dogs", names=wrong)


def test_a_batch_answers_as_each_query_does(photos: retrieval.Collection) -> None:
    queries = ["valio vanilla yoghurt", "dogs", "zebra", retrieval.image(picture(2))]

    assert photos.search(queries, k=7) == [photos.search(query, k=7) for query in queries]


def test_copies_are_folded_into_the_one_whose_name_matches(tmp_path: Path) -> None:
    fill(tmp_path, [f"plain/{number}.png" for number in range(8)])
    (tmp_path / "wedding").mkdir()
    shutil.copy(tmp_path / "plain/5.png", tmp_path / "wedding/kiss.png")
    retrieval.build_index(tmp_path, encoder=FakeEncoder(dim=16), progress=False)
    with retrieval.open(tmp_path, encoder=FakeEncoder(dim=16)) as collection:
        first = collection.search("wedding", k=9)[0]

        assert (first.path, first.n_duplicates, first.duplicates) == ("wedding/kiss.png", 1, ("plain/5.png",))
        assert first.matched == ("image", "path")
        assert len(collection.search("wedding", k=9)) == 8
        assert len(collection.search("wedding", k=9, fold_duplicates=False)) == 9


def test_deleted_and_moved_images_do_not_answer(tmp_path: Path) -> None:
    fill(tmp_path, KEYS)
    encoder = FakeEncoder(dim=16)
    retrieval.build_index(tmp_path, encoder=encoder, progress=False)
    with retrieval.open(tmp_path, encoder=encoder) as before:
        (tmp_path / "dogs/0.png").unlink()
        os.rename(tmp_path / "dogs/1.png", tmp_path / "cats/moved.png")
        retrieval.build_index(tmp_path, encoder=encoder, progress=False)

        left = [f"dogs/{number}.png" for number in range(2, 6)]
        assert sorted(paths(before.search("dogs", k=9, names="only"))) == ["dogs/0.png", *left]
        before.refresh()
        assert sorted(paths(before.search("dogs", k=9, names="only"))) == left
        assert "cats/moved.png" in paths(before.search("cats", k=9, names="only"))


def test_rows_by_hand_answer_to_their_keys_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with retrieval.create(tmp_path / "rows", dim=16) as rows:
        rows.add(rng.standard_normal((3, 16)), keys=["red shoe", "red hat", "blue hat"])
        assert sorted(paths(rows.search("hats"))) == ["blue hat", "red hat"]
        rows.add(rng.standard_normal((1, 16)), keys=["green hat"])
        found = rows.search("hats red")

        assert paths(found)[0] == "red hat"
        assert sorted(paths(found)) == ["blue hat", "green hat", "red hat", "red shoe"]
        assert np.isnan(found[0].score)
        assert found[0]["score"] is None
        rows.delete("red hat")
        assert "red hat" not in paths(rows.search("hats red"))
        with pytest.raises(CapabilityMissing):
            rows.search("trousers")


def test_an_encoder_without_a_text_side_answers_words_by_names(folder: Path) -> None:
    with retrieval.open(folder, encoder=Blind(dim=16)) as photos:
        hits = photos.search("dogs", k=4)

        assert paths(hits) == [f"dogs/{number}.png" for number in range(4)]
        assert {hit.matched for hit in hits} == {("path",)}
        with pytest.raises(CapabilityMissing):
            photos.search("zebra")
        found, failed = photos.search(["dogs", "zebra"], k=4)
        assert paths(found) == paths(hits)
        assert isinstance(failed.error, CapabilityMissing)


def test_words_that_nobody_knows_are_an_error_only_if_no_name_has_them(folder: Path) -> None:
    with retrieval.open(folder, encoder=Reader(dim=16)) as photos:
        hits = photos.search("valio xyz", k=4)

        assert {os.path.dirname(path) for path in paths(hits)} == {"valio vanilla yoghurt"}
        assert hits.unknown_words == ("xyz",)
        with pytest.raises(UnknownWords):
            photos.search("xyz")
        with pytest.raises(UnknownWords):
            photos.search("valio", names="off")
        assert photos.search("dogs valio", k=4).unknown_words == ()


def test_a_collection_without_the_file_answers_from_memory(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "photos")
    directory = tmp_path / "photos/.retrieve"
    manifest = read_manifest(directory)
    (generation_path(directory, manifest.generation) / NAMES).unlink()
    files = {name: info for name, info in manifest.files.items() if name != NAMES}
    write_manifest(directory, replace(manifest, files=files))

    with retrieval.open(tmp_path / "photos", encoder=FakeEncoder(dim=16)) as photos:
        assert len(photos.search("dogs", k=30, names="only")) == 6


def test_a_large_collection_without_the_file_is_compared_by_vectors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.names.names_file.NAMES", "other")
    monkeypatch.setattr("retrieval.names.names._IN_MEMORY", 5)
    with retrieval.open(folder, encoder=FakeEncoder(dim=16)) as photos:
        assert photos.search("dogs") == photos.search("dogs", names="off")
        with pytest.raises(OptionError, match=r"no index of names.*build_index"):
            photos.search("dogs", names="only")


def test_without_fts5_words_are_compared_by_vectors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.names.names.has_fts5", lambda: False)
    monkeypatch.setattr("retrieval.names.has_fts5", lambda: False)
    with retrieval.open(folder, encoder=FakeEncoder(dim=16)) as photos:
        assert photos.search("dogs") == photos.search("dogs", names="off")
        with pytest.raises(OptionError, match="without FTS5"):
            photos.search("dogs", names="only")


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "photos")
    directory = tmp_path / "photos/.retrieve"
    place = generation_path(directory, read_manifest(directory).generation) / NAMES
    data = bytearray(place.read_bytes())
    data[5000] ^= 255
    place.write_bytes(data)

    with retrieval.open(tmp_path / "photos", encoder=FakeEncoder(dim=16)) as photos:
        with pytest.raises(StoreCorrupt, match=r"names\.sqlite"):
            photos.search("dogs")
        assert len(photos.search("dogs", names="off")) == 10
        assert len(photos.search(picture(3))) == 10


def test_nothing_is_opened_before_the_first_words(photos: retrieval.Collection) -> None:
    photos.search(picture(3))
    assert photos._opened.names._files is None

    photos.search("dogs")
    assert photos._opened.names._files is not None


def test_threads_and_a_forked_child_look_up_too(photos: retrieval.Collection) -> None:
    expected = paths(photos.search("dogs", k=6))
    wrong: list[Any] = []

    def look() -> None:
        wrong.extend(found for _ in range(10) if (found := paths(photos.search("dogs", k=6))) != expected)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    child = os.fork()
    if not child:
        os._exit(0 if paths(photos.search("dogs", k=6)) == expected else 1)
    for thread in threads:
        thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert wrong == []


def test_common_words_lift_what_the_pictures_show_already(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too many rows have a word, only rows among the best by vectors gain by it."""
    monkeypatch.setattr("retrieval.names.name_index.COMMON", 4)
    monkeypatch.setattr("retrieval.names.lookup.COMMON", 4)
    with retrieval.open(folder, encoder=FakeEncoder(dim=16)) as photos:
        recent = photos._opened.names.indexes()[0][1]
        monkeypatch.setattr(type(recent), "common", lambda self, words: 6 if "dog" in words else None)
        with_names, without = (paths(photos.search("dogs", k=6, names=names)) for names in ("auto", "off"))

        dogs = [sum(path.startswith("dogs/") for path in found) for found in (with_names, without)]
        assert dogs[0] > dogs[1]
        assert len(photos.search("dogs", k=30, names="only")) == 6

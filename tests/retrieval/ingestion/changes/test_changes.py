"""What came, went, moved or stayed is told by its contents, and only what is new is encoded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import PROBES, CountingEncoder, fill, picture, touch_later
from tests.retrieval.ingestion.galleries import NAMES, build, paths


def test_every_image_becomes_a_row_that_finds_itself(photos: Path, encoder: CountingEncoder) -> None:
    report = build(photos, encoder)

    assert (report.images, report.encoded, report.reused, report.skipped) == (12, 12, 0, 0)
    with retrieval.open(photos, encoder=encoder) as collection:
        for name in NAMES:
            hit = collection.search(photos / name, k=1, include_self=True)[0]
            assert hit.path == name
            assert hit.score == pytest.approx(1, abs=1e-3)


def test_again_is_nothing_to_do(photos: Path, encoder: CountingEncoder) -> None:
    first = build(photos, encoder)
    generation = retrieval.open(photos, encoder=encoder).manifest.generation

    again = build(photos, encoder)

    assert (again.encoded, again.reused, again.moved, again.removed) == (0, 0, 0, 0)
    assert again.images == first.images
    assert encoder.encoded == 12 + PROBES
    assert retrieval.open(photos, encoder=encoder).manifest.generation == generation


def test_nothing_to_do_loads_no_model(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.spec = "nano@1"  # as if nano had built it
    build(photos, encoder)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a model was loaded")

    monkeypatch.setattr("retrieval.ingestion.encoder_choice.load_encoder", refuse)

    assert retrieval.build_index(photos).images == 12


def test_new_changed_touched_moved_copied_and_deleted_files(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    before = paths(photos, encoder)
    fill(photos, ["new.png"], first=100)
    picture(200).save(photos / "a/0.png")
    touch_later(photos / "a/0.png")
    touch_later(photos / "a/1.png")
    (photos / "a/2.png").rename(photos / "moved.png")
    shutil.copy(photos / "a/3.png", photos / "copy.png")
    (photos / "a/4.png").unlink()
    encoder.encoded = 0

    report = build(photos, encoder)

    after = paths(photos, encoder)
    assert encoder.encoded == 2  # the new and the changed one
    assert (report.encoded, report.reused, report.moved, report.removed) == (2, 2, 1, 1)
    assert report.images == 13 == len(after)
    assert after["moved.png"] == before["a/2.png"]
    assert after["a/1.png"] == before["a/1.png"]
    assert after["a/0.png"] != before["a/0.png"]
    assert "a/4.png" not in after
    with retrieval.open(photos, encoder=encoder) as collection:
        for name in after:
            found = {
                hit.path
                for hit in collection.search(photos / name, k=2, include_self=True, fold_duplicates=False)
            }
            assert name in found
        (hit,) = collection.search(photos / "copy.png", k=1, include_self=True)
        assert hit.n_duplicates == 1


def test_a_swap_of_two_files_is_seen(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    one, other, spare = photos / "a/0.png", photos / "a/1.png", photos / "spare"
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
    touch_later(one)
    touch_later(other)

    report = build(photos, encoder)

    assert report.images == 12
    with retrieval.open(photos, encoder=encoder) as collection:
        hit = collection.search(picture(0), k=1)[0]
        assert hit.path == "a/1.png"


def test_a_renamed_folder_is_moved_not_encoded(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / "a").rename(photos / "c")
    (photos / "b").rename(photos / "d")
    encoder.encoded = 0

    report = build(photos, encoder)

    assert (report.moved, report.removed, encoder.encoded) == (12, 0, 0)


def test_exact_copies_are_encoded_once(tmp_path: Path, encoder: CountingEncoder) -> None:
    photos = fill(tmp_path, ["one.png"])
    for number in range(40):
        shutil.copy(photos / "one.png", photos / f"copy{number}.png")

    report = build(photos, encoder)

    assert (report.images, report.encoded, report.reused) == (41, 1, 40)


def test_names_of_all_kinds(tmp_path: Path, encoder: CountingEncoder) -> None:
    names = [
        "new\nline.png",
        "tab\t.png",
        "emoji😀.png",
        os.fsdecode(b"bytes\xff.png"),
        "quote'\".png",
        " space .png",
    ]
    photos = fill(tmp_path / "p", names)

    build(photos, encoder)

    assert set(paths(photos, encoder)) == set(names)


def test_a_changed_file_that_equals_a_missing_one_is_that_one(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    before = paths(photos, encoder)
    (photos / "a/1.png").replace(photos / "a/0.png")
    touch_later(photos / "a/0.png")
    encoder.encoded = 0

    report = build(photos, encoder)

    after = paths(photos, encoder)
    assert (report.images, report.moved, encoder.encoded) == (11, 1, 0)
    assert after["a/0.png"] == before["a/1.png"]
    assert "a/1.png" not in after


def test_filters_follow_files_that_only_moved(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    with retrieval.open(photos, encoder=encoder) as early:
        assert _below(early, under="a") == {f"a/{number}.png" for number in range(6)}
        (photos / "a").rename(photos / "c")
        assert build(photos, encoder).moved == 6
        moved = {f"c/{number}.png" for number in range(6)}
        with retrieval.open(photos, encoder=encoder) as late:
            for opened in (early, late):  # hits have their newest paths in both
                assert _below(opened, under="c") == _below(opened, glob="c/*") == moved
                assert _below(opened, under="a") == set()


def _below(collection: retrieval.Collection, **filters: str) -> set[str]:
    return {hit.path for hit in collection.search("red", k=20, **filters)}

"""Where a collection lies, which folder it is of, and what is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import OptionError, StoreCorrupt, StoreReadOnly
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import NAMES, build, paths


def test_a_folder_without_images_leaves_nothing_behind(tmp_path: Path, encoder: CountingEncoder) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(OptionError, match="no images"):
        build(tmp_path, encoder)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_an_index_elsewhere_moves_with_its_root(tmp_path: Path, encoder: CountingEncoder) -> None:
    photos = fill(tmp_path / "one" / "photos", NAMES)
    build(photos, encoder, index=tmp_path / "one" / "index")
    assert not (photos / ".retrieve").exists()

    (tmp_path / "one").rename(tmp_path / "two")

    with retrieval.open(tmp_path / "two" / "index", encoder=encoder) as collection:
        assert collection.root == tmp_path / "two" / "photos"
        hit = collection.search(tmp_path / "two/photos/a/0.png", k=1, include_self=True)[0]
        assert (collection.root / hit.path).is_file()


def test_another_folder_for_an_existing_index_is_refused(tmp_path: Path, encoder: CountingEncoder) -> None:
    one, other = fill(tmp_path / "one", NAMES), fill(tmp_path / "other", NAMES)
    build(one, encoder, index=tmp_path / "index")

    with pytest.raises(OptionError, match="`root="):
        build(other, encoder, index=tmp_path / "index")

    assert build(other, encoder, index=tmp_path / "index", root=other).images == 12


def test_a_part_of_the_root_changes_only_that_part(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / "a/0.png").unlink()
    (photos / "b/0.png").unlink()

    report = retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)

    assert report.removed == 1
    assert "b/0.png" in paths(photos, encoder)
    assert "a/1.png" in paths(photos, encoder)


def test_a_part_of_the_root_may_be_named_through_a_link(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    build(photos, encoder)
    (tmp_path / "link").symlink_to(photos)
    (photos / "a/0.png").unlink()

    for options in ({}, {"root": photos}):
        report = build(tmp_path / "link" / "a", encoder, index=photos / ".retrieve", **options)
        assert report.images == 11

    assert {name for name in NAMES if name != "a/0.png"} == set(paths(photos, encoder))


def test_a_half_copied_collection_is_named(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / ".retrieve" / "manifest.json").unlink()

    with pytest.raises(StoreCorrupt, match=r"manifest\.json"):
        build(photos, encoder)


def test_a_file_in_the_way_of_the_index_is_named(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")

    for place in ("file", "file/below", "dangling"):
        with pytest.raises(OptionError, match="`index="):
            build(photos, encoder, index=tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_place_that_cannot_be_written_is_named(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)

    with pytest.raises(StoreReadOnly, match="`index="):
        build(photos, encoder, index=tmp_path / "locked" / "index")

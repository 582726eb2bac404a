"""Several sources in one collection: added, dropped, never mixed up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import read_manifest, write_manifest
from retrieval.errors import (
    OptionError,
)
from retrieval.sources import read_skipped
from tests.retrieval.folders import CountingEncoder, fill, picture
from tests.retrieval.ingestion.build_sources.recorded import FIXTURES, MORE, sources_of, zipped
from tests.retrieval.ingestion.galleries import NAMES, build, paths


class TestAdded:
    def test_a_source_that_the_manifest_does_not_name_is_added(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build(photos, encoder, index=index)
        assert sources_of(index) == [(0, "folder", "../photos")]

        report = build(other, encoder, index=index)

        assert (report.encoded, report.removed, report.images) == (4, 0, 16)
        assert report.sources == [str(other)]
        assert sorted(paths(index, encoder)) == sorted([*NAMES, *MORE])
        assert sources_of(index) == [(0, "folder", "../photos"), (1, "folder", "../other")]
        assert read_manifest(index).layout >= 4

    def test_two_at_once_are_what_one_after_the_other_is(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        report = build([photos, other], encoder, index=index)

        assert (report.encoded, report.images) == (16, 16)
        assert report.sources == [str(photos), str(other)]
        assert sources_of(index) == [(0, "folder", "../photos"), (1, "folder", "../other")]

    def test_without_an_index_it_lies_in_the_first_folder(
        self, photos: Path, other: Path, encoder: CountingEncoder
    ) -> None:
        report = build([photos, other], encoder)

        assert report.index == str(photos / ".retrieve")
        assert sources_of(photos / ".retrieve") == [(0, "folder", None), (1, "folder", "../../other")]

    def test_one_that_is_missing_stops_the_build_before_anything_is_made(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        with pytest.raises(OptionError, match="gone does not exist"):
            build([photos, tmp_path / "gone"], encoder, index=tmp_path / "deep" / "index")

        assert not (tmp_path / "deep").exists()
        assert encoder.encoded == 0

    def test_a_source_without_images_is_refused(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        (tmp_path / "empty").mkdir()
        build(photos, encoder)

        with pytest.raises(OptionError, match="empty holds no images"):
            build(tmp_path / "empty", encoder, index=photos / ".retrieve")

        assert len(read_manifest(photos / ".retrieve").sources) == 1

    def test_a_source_named_twice_is_refused(self, photos: Path, encoder: CountingEncoder) -> None:
        with pytest.raises(OptionError, match="stands twice"):
            build([photos, photos], encoder)

    def test_a_folder_that_holds_the_collections_own_is_refused(
        self, photos: Path, encoder: CountingEncoder
    ) -> None:
        build(photos / "a", encoder)

        with pytest.raises(OptionError, match="belongs to the folder"):
            build(photos, encoder, index=photos / "a" / ".retrieve")


class TestOneKeyTwice:
    def test_of_two_new_sources(
        self, photos: Path, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        other = fill(tmp_path / "twin", ["x.png", "a/3.png"], first=300)

        with pytest.raises(
            OptionError, match=r"photos and .*twin both give the key 'a/3.png'; nothing was changed"
        ):
            build([photos, other], encoder, index=index)

        assert not index.exists()
        assert encoder.encoded == 0

    def test_of_one_that_is_there(
        self, photos: Path, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        other = fill(tmp_path / "twin", ["x.png", "a/3.png"], first=300)
        build(photos, encoder, index=index)
        manifest = read_manifest(index)

        with pytest.raises(OptionError, match=r"photos and .*twin both give the key 'a/3.png'"):
            build(other, encoder, index=index)

        assert read_manifest(index) == manifest
        (other / "a/3.png").unlink()
        assert build(other, encoder, index=index).images == 13

    def test_of_a_row_by_hand(self, photos: Path, other: Path, encoder: CountingEncoder) -> None:
        build(photos, encoder)
        with retrieval.open(photos, encoder=encoder) as collection:
            collection.add(np.ones(encoder.space.dim), keys=MORE[0])

        with pytest.raises(OptionError, match=r"row 12, which was added by hand, have the same key"):
            build(other, encoder, index=photos / ".retrieve")


class TestDropped:
    def test_its_rows_go_and_the_others_stay(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)

        report = retrieval.build_index(index=index, encoder=encoder, drop_source=other)

        assert (report.removed, report.images) == (4, 12)
        assert sources_of(index) == [(0, "folder", "../photos")]
        assert not (index / "sources").exists()
        assert sorted(paths(index, encoder)) == sorted(NAMES)

    def test_a_url_is_named_with_or_without_its_password(
        self, photos: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        fsspec = pytest.importorskip("fsspec", reason="URLs are read with it")
        fsspec.filesystem("memory").pipe("/dropped/a.png", (photos / NAMES[0]).read_bytes())
        for named in ("memory://me:hidden@dropped?sig=1", "memory://dropped"):
            build([photos, "memory://dropped"], encoder, index=index)

            report = retrieval.build_index(index=index, encoder=encoder, drop_source=named)

            assert (report.removed, report.images) == (1, 12)
        with pytest.raises(OptionError, match=r"memory://other is no source of .*; nothing was removed"):
            retrieval.build_index(index=index, encoder=encoder, drop_source="memory://me:hidden@other")

    def test_a_source_that_is_away_can_be_dropped(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)
        other.rename(other.with_name("away"))

        assert retrieval.build_index(index=index, encoder=encoder, drop_source="../other").images == 12

    def test_the_first_one_too(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)

        assert retrieval.build_index(index=index, encoder=encoder, drop_source=[photos]).images == 4
        assert retrieval.build_index(index=index, encoder=encoder).images == 4
        with retrieval.open(index, encoder=encoder) as collection:
            assert collection.root == other

    def test_an_unknown_one_lists_those_that_there_are(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build(photos, encoder, index=index)

        with pytest.raises(
            OptionError, match=r"other is no source of .*; nothing was removed. It has .*photos"
        ):
            retrieval.build_index(index=index, encoder=encoder, drop_source=other)

    def test_the_last_one_stays(self, photos: Path, index: Path, encoder: CountingEncoder) -> None:
        build(photos, encoder, index=index)

        with pytest.raises(OptionError, match="would have no source left"):
            retrieval.build_index(index=index, encoder=encoder, drop_source=photos)


def test_skipped_files_of_all_sources_are_listed_together(
    photos: Path, other: Path, index: Path, encoder: CountingEncoder
) -> None:
    (photos / "empty.png").touch()
    build(photos, encoder, index=index)
    (other / "none.png").touch()

    report = build(other, encoder, index=index)

    assert report.skipped == 1
    assert sorted(read_skipped(index)) == [b"empty.png", b"none.png"]
    (photos / "empty.png").unlink()
    assert retrieval.build_index(index=index, encoder=encoder).skipped == 1
    assert sorted(read_skipped(index)) == [b"none.png"]
    retrieval.build_index(index=index, encoder=encoder, drop_source=other)
    assert sorted(read_skipped(index)) == []


def test_a_query_by_a_file_of_any_source_reads_its_row(
    photos: Path, other: Path, index: Path, encoder: CountingEncoder
) -> None:
    build([photos, other], encoder, index=index)

    with retrieval.open(index, encoder=encoder) as collection:
        hit = collection.search(other / MORE[2], k=1, include_self=True)[0]
        assert hit.path == MORE[2]
        assert not collection.changed()
        picture(5).save(other / "new.png")
        assert collection.changed()


def test_a_row_by_hand_may_not_take_the_key_of_any_source(
    photos: Path,
    other: Path,
    index: Path,
    encoder: CountingEncoder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.syspath_prepend(FIXTURES / "archives")
    build([zipped(tmp_path / "x.zip", 3), other], encoder, index=index)

    with retrieval.open(index, encoder=encoder) as collection:
        with pytest.raises(OptionError, match=rf"belongs to a file of the folder {other} \(row 3\)"):
            collection.add(np.ones(encoder.space.dim), keys=MORE[0])
        with pytest.raises(OptionError, match=r"belongs to an image of .*x\.zip \(row 1\)"):
            collection.add(np.ones(encoder.space.dim), keys="1.png")
        collection.add(np.ones(encoder.space.dim), keys="mine")
    report = retrieval.build_index(index=index, encoder=encoder, drop_source=other)
    assert (report.removed, report.images) == (4, 4)


def test_info_names_the_sources(photos: Path, other: Path, index: Path, encoder: CountingEncoder) -> None:
    build([photos, other], encoder, index=index, exclude=["b/5.png"])

    with retrieval.open(index, encoder=encoder) as collection:
        assert collection.info()["sources"] == [
            {"type": "folder", "source": str(photos), "options": {"exclude": ["b/5.png"]}},
            {"type": "folder", "source": str(other), "options": {"exclude": ["b/5.png"]}},
        ]


def test_a_collection_has_at_most_256_sources(
    photos: Path, other: Path, index: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder, index=index)
    manifest = read_manifest(
        index
    )  # the second folder is away, which is no reason to take the new one for it
    last = replace(manifest.sources[0], number=255, path="../elsewhere")
    write_manifest(index, replace(manifest, sources=(*manifest.sources, last)))

    with pytest.raises(OptionError, match="has had 256 sources, as many as it can"):
        build(other, encoder, index=index)

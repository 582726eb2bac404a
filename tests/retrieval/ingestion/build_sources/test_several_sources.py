"""Several sources in one collection: added, repeated, dropped, never mixed up."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import generation_path, read_manifest, write_manifest
from retrieval.errors import (
    CollectionNotFound,
    ImagesSkipped,
    MissingExtra,
    OptionError,
    PruneRefused,
    SourceIncomplete,
)
from retrieval.progress import Progress
from retrieval.sources import read_skipped, source_type
from tests.retrieval.folders import CountingEncoder, fill, picture, touch_later
from tests.retrieval.ingestion.galleries import NAMES, build, paths

FIXTURES = Path(__file__).parents[3] / "fixtures"
MORE = [f"more/{number}.png" for number in range(4)]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return fill(tmp_path / "other", MORE, first=100)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def _zip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FIXTURES / "archives")


def sources_of(index: Path) -> list[tuple[int, str, str | None]]:
    return [(source.number, source.type, source.path) for source in read_manifest(index).sources]


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


class TestRepeated:
    def test_without_a_source_all_are_built_again(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index, exclude=["b/5.png"])
        (photos / "a/0.png").unlink()
        picture(500).save(other / "new.png")

        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.encoded, report.removed, report.images) == (1, 1, 15)
        assert "b/5.png" not in paths(index, encoder)
        manifest = read_manifest(index)
        assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
        assert read_manifest(index) == manifest

    def test_a_build_of_one_leaves_the_others_alone(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)
        for name in MORE:
            (other / name).unlink()

        report = build(photos, encoder, index=index)

        assert (report.encoded, report.removed, report.images) == (0, 0, 16)

    def test_a_folder_alone_is_repeated_too(self, photos: Path, encoder: CountingEncoder) -> None:
        build(photos, encoder)
        picture(700).save(photos / "new.png")

        report = retrieval.build_index(index=photos, encoder=encoder)

        assert (report.encoded, len(read_manifest(photos / ".retrieve").sources)) == (1, 1)

    def test_there_must_be_a_collection(self, tmp_path: Path) -> None:
        with pytest.raises(CollectionNotFound):
            retrieval.build_index(index=tmp_path)

    def test_rows_by_hand_are_no_source_to_repeat(self, tmp_path: Path, encoder: CountingEncoder) -> None:
        with retrieval.create(tmp_path, encoder=encoder) as collection:
            collection.add(np.eye(encoder.space.dim)[:2], ["one", "two"])
        picture(7).save(tmp_path / "beside.png")

        with pytest.raises(OptionError, match="from no source that can be asked again"):
            retrieval.build_index(index=tmp_path, encoder=encoder)

    @pytest.mark.parametrize("lost", [False, True])
    def test_a_named_folder_is_read_though_an_index_of_rows_by_hand_was_lost(
        self, tmp_path: Path, lost: bool
    ) -> None:
        with retrieval.create(tmp_path, encoder="nano") as collection:
            rows = np.random.default_rng(0).standard_normal((400, collection.space.dim))
            collection.add(rows, [str(number) for number in range(400)])
        directory = tmp_path / ".retrieve"
        retrieval.build_index(index=directory, kind="ivfrabitq", progress=False)
        picture(7).save(tmp_path / "new.png")
        if lost:
            (generation_path(directory, read_manifest(directory).generation) / "index.faiss").unlink()

        report = retrieval.build_index(tmp_path, progress=False)

        assert (report.encoded, report.images) == (1, 401)

    @pytest.mark.parametrize(
        "option",
        [
            {"exclude": ["*.tmp"]}, {"every": 2.0}, {"root": "/nowhere"}, {"image_column": "x"}, {"max_pixels": 5},
            {"rehash": True}, {"headers": True}, {"prune": True}, {"allow_private": True},
        ],
    )  # fmt: skip
    def test_an_option_of_sources_means_nothing_for_rows_by_hand(self, tmp_path: Path, option) -> None:
        retrieval.sync_vectors(tmp_path, np.eye(8), list("abcdefgh"), space="made", progress=False)

        with pytest.raises(OptionError):
            retrieval.build_index(index=tmp_path, progress=False, **option)
        assert retrieval.build_index(index=tmp_path, progress=False).images == 8

    def test_one_that_is_away_stops_the_build_and_removes_nothing(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)
        (photos / "a/0.png").unlink()
        other.rename(other.with_name("away"))

        with pytest.raises(OptionError, match="other does not exist; check the path, or mount its drive"):
            retrieval.build_index(index=index, encoder=encoder)

        assert len(paths(index, encoder)) == 16

    def test_moved_files_are_recognised_within_a_source(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)
        (other / "more").rename(other / "renamed")

        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.moved, report.encoded, report.removed) == (4, 0, 0)

    def test_an_image_that_went_to_the_other_source_is_not_encoded_again(
        self, photos: Path, other: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        build([photos, other], encoder, index=index)
        (other / "a").mkdir()
        (photos / "a/0.png").rename(other / "a/0.png")
        (photos / "b/0.png").rename(other / "moved.png")

        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.encoded, report.reused, report.images) == (0, 2, 16)
        with retrieval.open(index, encoder=encoder) as collection:
            assert collection.source.link(b"a/0.png") == str(other / "a/0.png")
        (other / "a/0.png").unlink()
        assert build(other, encoder, index=index).removed == 1

    def test_most_of_one_source_is_not_removed_unasked(
        self, photos: Path, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        many = fill(tmp_path / "many", [f"x/{number}.png" for number in range(30)], first=200)
        build([many, photos], encoder, index=index)
        for path in (many / "x").iterdir():
            path.unlink()

        with pytest.raises(PruneRefused, match="many holds no images any more"):
            retrieval.build_index(index=index, encoder=encoder)

        assert len(paths(index, encoder)) == 42
        assert retrieval.build_index(index=index, encoder=encoder, prune=True).removed == 30
        assert retrieval.build_index(index=index, encoder=encoder).images == 12


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


@pytest.mark.usefixtures("_zip")
def test_an_option_that_no_source_understands_is_refused(
    tmp_path: Path, index: Path, encoder: CountingEncoder
) -> None:
    archive = zipped(tmp_path / "x.zip", 3)

    with pytest.raises(OptionError, match=r"`exclude` has no meaning for .*x.zip"):
        build(archive, encoder, index=index, exclude=["a"])


def zipped(path: Path, count: int, *, first: int = 0) -> Path:
    """Write a ZIP file of pictures."""
    with zipfile.ZipFile(path, "w") as file:
        for number in range(first, first + count):
            with file.open(f"{number}.png", "w") as member:
                picture(number).save(member, format="PNG")
    return path


@pytest.mark.usefixtures("_zip")
class TestPlugin:
    """A source that is no folder, by a plugin (`tests/fixtures/archives`)."""

    def test_it_needs_an_index(self, tmp_path: Path, encoder: CountingEncoder) -> None:
        with pytest.raises(OptionError, match=r"x.zip is no folder .*`index=…`"):
            build(zipped(tmp_path / "x.zip", 3), encoder)

    def test_it_is_built_again_changed_and_searched(
        self, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        archive = zipped(tmp_path / "x.zip", 5)
        report = build(archive, encoder, index=index)
        assert (report.encoded, report.images, report.root) == (5, 5, str(tmp_path))
        assert sources_of(index) == [(0, "zip", "../x.zip")]
        assert retrieval.build_index(index=index, encoder=encoder).encoded == 0

        zipped(archive, 4, first=3)
        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.encoded, report.removed, report.images) == (2, 3, 4)
        with retrieval.open(index, encoder=encoder) as collection:
            assert collection.source.read(collection._using().__enter__().store.record(3)) != b""
            assert collection.search(retrieval.row(collection.id_of("3.png")), k=4)[0].path in {
                "4.png",
                "5.png",
                "6.png",
            }

    def test_a_source_cut_short_loses_no_row(
        self, tmp_path: Path, index: Path, encoder: CountingEncoder, photos: Path
    ) -> None:
        archive = zipped(tmp_path / "x.zip", 25)
        build([archive, photos], encoder, index=index)
        data = archive.read_bytes()
        archive.write_bytes(data[:-100])
        (photos / "a/0.png").unlink()

        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.removed, report.not_seen, report.images) == (1, 25, 36)
        assert len(report.incomplete) == 1
        assert "x.zip cannot be listed" in report.incomplete[0]
        assert (report.to_json()["not_seen"], report.to_json()["incomplete"]) == (25, report.incomplete)
        archive.write_bytes(data)
        report = retrieval.build_index(index=index, encoder=encoder)
        assert (report.encoded, report.not_seen, report.incomplete) == (0, 0, [])

    def test_a_new_one_cut_short_takes_no_rows_over(
        self, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        old, new = zipped(tmp_path / "old.zip", 25), zipped(tmp_path / "new.zip", 25)
        build(old, encoder, index=index)
        data = new.read_bytes()
        new.write_bytes(data[:-100])

        with pytest.raises(
            OptionError, match=r"new\.zip cannot be listed .*; nothing was changed: drop .*old\.zip"
        ):
            build(new, encoder, index=index, drop_source=old)
        with retrieval.open(index, encoder=encoder) as collection:
            assert len(collection) == 25
        new.write_bytes(data)
        report = build(new, encoder, index=index, drop_source=old)
        assert (report.encoded, report.images) == (0, 25)

    def test_strict_takes_rows_that_were_not_seen_for_skipped(
        self, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        archive = zipped(tmp_path / "x.zip", 25)
        build(archive, encoder, index=index)
        archive.write_bytes(archive.read_bytes()[:-100])

        with pytest.raises(ImagesSkipped, match=r"x\.zip cannot be listed .*; 25 rows .* stay as they were"):
            build(archive, encoder, index=index, strict=True)
        with retrieval.open(index, encoder=encoder) as collection:
            assert len(collection) == 25

    def test_one_cut_in_the_middle_adds_what_was_seen(
        self, tmp_path: Path, index: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive, kind = zipped(tmp_path / "x.zip", 6), source_type("zip")
        build(archive, encoder, index=index)
        zipped(archive, 6, first=5)
        whole = kind.entries

        def cut(self, seen):
            for number, entry in enumerate(whole(self, seen)):
                if number == 3:
                    raise SourceIncomplete("page 2 could not be read")
                yield entry

        monkeypatch.setattr(kind, "entries", cut)
        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.encoded, report.removed, report.not_seen) == (2, 0, 5)
        assert report.incomplete == ["page 2 could not be read"]
        monkeypatch.setattr(kind, "entries", whole)
        assert (retrieval.build_index(index=index, encoder=encoder, prune=True).removed) == 5

    def test_without_the_plugin_its_rows_answer_and_a_build_stops(
        self,
        tmp_path: Path,
        index: Path,
        encoder: CountingEncoder,
        photos: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        archive = zipped(tmp_path / "x.zip", 3)
        build([archive, photos], encoder, index=index)
        monkeypatch.setattr("sys.path", [path for path in __import__("sys").path if "archives" not in path])

        with pytest.raises(OptionError, match="of the type 'zip', which nothing that is installed reads"):
            retrieval.build_index(index=index, encoder=encoder)

        with retrieval.open(index, encoder=encoder) as collection:
            assert len(collection) == 15
            assert len(collection.search(photos / NAMES[0], k=15)) > 10
            assert collection.source.link(b"a/0.png") == str(photos / "a/0.png")
        assert build(photos, encoder, index=index).images == 15
        assert retrieval.build_index(index=index, encoder=encoder, drop_source=archive).images == 12

    def test_what_changed_is_known_by_its_stamp(
        self, tmp_path: Path, index: Path, encoder: CountingEncoder
    ) -> None:
        archive = zipped(tmp_path / "x.zip", 3)
        build(archive, encoder, index=index)
        touch_later(archive)

        assert retrieval.build_index(index=index, encoder=encoder).reused == 0


def test_relative_sources_are_found_from_anywhere(
    tmp_path: Path, photos: Path, other: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build(["photos", "other"], encoder, index="index")
    monkeypatch.chdir(os.sep)

    assert retrieval.build_index(index=tmp_path / "index", encoder=encoder).encoded == 0


class Interrupted(CountingEncoder):
    """Stops as Ctrl-C does after some images."""

    after = 4

    def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
        if self.encoded >= self.after:
            raise KeyboardInterrupt
        return super().encode_pixels(batch)


def test_an_interrupted_build_of_a_new_source_is_continued_by_one_that_names_none(
    photos: Path, tmp_path: Path, index: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder, index=index)
    more = fill(tmp_path / "many", [f"m/{number:03}.png" for number in range(80)], first=300)
    stopping = Interrupted()
    stopping.after = 40

    with pytest.raises(KeyboardInterrupt):
        build(more, stopping, index=index)

    assert sources_of(index) == [(0, "folder", "../photos"), (1, "folder", "../many")]
    kept = len(paths(index, encoder))
    assert 12 < kept < 92
    before = encoder.encoded
    report = retrieval.build_index(index=index, encoder=encoder)
    assert (report.images, report.encoded, report.removed) == (92, 92 - kept, 0)
    assert encoder.encoded > before


def test_a_source_that_lacks_a_package_stops_the_build_and_removes_nothing(
    photos: Path, tmp_path: Path, index: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FIXTURES / "archives")
    build([zipped(tmp_path / "x.zip", 3), photos], encoder, index=index)
    (photos / "a/0.png").unlink()

    def missing(*_: object) -> None:
        raise MissingExtra("x.zip: needs unzip, which is not installed: pip install unzip")

    monkeypatch.setattr(source_type("zip"), "from_spec", missing)

    with pytest.raises(MissingExtra, match="pip install unzip"):
        retrieval.build_index(index=index, encoder=encoder, prune=True)

    assert len(paths(index, encoder)) == 15
    assert build(photos, encoder, index=index).removed == 1


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


def test_a_walk_is_told_of_the_rows_that_a_source_had(
    tmp_path: Path, index: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Progress] = []
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(2100):
        (folder / f"{number}.jpg").write_bytes(b"x" * (number + 1))
    picture(0).save(folder / "a.png")
    build(folder, encoder, index=index)
    with retrieval.open(index, encoder=encoder) as collection:
        assert len(collection) == 1

    build(folder, encoder, index=index, progress=events.append)

    assert [(event.done, event.total) for event in events if event.phase == "scan"] == [
        (1000, 1000),
        (2000, 2000),
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

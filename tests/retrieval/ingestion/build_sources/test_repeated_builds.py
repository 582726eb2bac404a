"""A build of several sources is repeated, from anywhere, and continued where it stopped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import generation_path, read_manifest
from retrieval.errors import (
    CollectionNotFound,
    MissingExtra,
    OptionError,
    PruneRefused,
)
from retrieval.progress import Progress
from retrieval.sources import source_type
from tests.retrieval.folders import CountingEncoder, fill, picture
from tests.retrieval.ingestion.build_sources.recorded import FIXTURES, MORE, sources_of, zipped
from tests.retrieval.ingestion.galleries import build, paths


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

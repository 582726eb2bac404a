"""A plug-in brings a type of source along; without it nothing is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import (
    ImagesSkipped,
    OptionError,
    SourceIncomplete,
)
from retrieval.sources import source_type
from tests.retrieval.folders import CountingEncoder, touch_later
from tests.retrieval.ingestion.build_sources.recorded import sources_of, zipped
from tests.retrieval.ingestion.galleries import NAMES, build


@pytest.mark.usefixtures("_zip")
def test_an_option_that_no_source_understands_is_refused(
    tmp_path: Path, index: Path, encoder: CountingEncoder
) -> None:
    archive = zipped(tmp_path / "x.zip", 3)

    with pytest.raises(OptionError, match=r"`exclude` has no meaning for .*x.zip"):
        build(archive, encoder, index=index, exclude=["a"])


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

"""A folder that lost most of its images does not empty its collection unasked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from indexes.store.store import Record
from indexes.store.tables.records import pack_record
from retrieval.errors import OptionError, PruneRefused
from retrieval.ingestion.changes.changes import compare
from retrieval.ingestion.changes.pruning import refuse_emptying
from retrieval.ingestion.changes.stored_files import StoredFiles
from retrieval.sources import FolderMemory, Seen, Skipped
from retrieval.sources.folders.folder import FolderSource
from retrieval.sources.folders.folder_options import FolderOptions
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import build, paths


def lose(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"{number}.png").unlink()


class TestPrune:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        return fill(tmp_path / "many", [f"{number}.png" for number in range(30)])

    def test_an_emptied_folder_stops_the_build(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for path in many.glob("*.png"):
            path.unlink()

        with pytest.raises(PruneRefused, match="`prune=True`"):
            build(many, encoder)

        assert len(paths(many, encoder)) == 30
        assert build(many, encoder, prune=True).images == 0

    def test_losing_more_than_half_stops_the_build(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        lose(many, 16)

        with pytest.raises(PruneRefused, match="16 of 30"):
            build(many, encoder)

        assert len(paths(many, encoder)) == 30
        report = build(many, encoder, prune=True)
        assert (report.images, report.removed) == (14, 16)

    def test_replacing_most_files_stops_the_build_too(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        lose(many, 20)
        fill(many, [f"new{number}.png" for number in range(20)], first=100)

        with pytest.raises(PruneRefused):
            build(many, encoder)

        assert build(many, encoder, prune=True).images == 30

    def test_a_late_refusal_keeps_every_row_and_shows_the_new_ones(
        self, many: Path, encoder: CountingEncoder
    ) -> None:
        build(many, encoder)
        lose(many, 20)
        fill(many, [f"new{number}.png" for number in range(20)], first=100)

        with pytest.raises(PruneRefused):
            build(many, encoder)

        assert len(paths(many, encoder)) == 50

    def test_files_that_all_broke_stop_the_build(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for number in range(20):
            (many / f"{number}.png").write_bytes(b"")

        with pytest.raises(PruneRefused, match="20 of 30"):
            build(many, encoder)

        assert len(paths(many, encoder)) == 30
        report = build(many, encoder, prune=True)
        assert (report.images, report.removed, report.skipped) == (10, 20, 20)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
    def test_a_folder_wholly_unreadable_keeps_its_rows(
        self, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        photos = fill(tmp_path, [f"a/{number}.png" for number in range(30)])
        build(photos, encoder)
        for mode in (0o000, 0o400):  # neither names nor sizes; names without sizes
            (photos / "a").chmod(mode)
            try:
                report = build(photos, encoder)
            finally:
                (photos / "a").chmod(0o755)
            assert (report.removed, report.images) == (0, 30)
            assert report.skipped >= 1

    def test_losing_half_is_fine(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for number in range(15):
            (many / f"{number}.png").unlink()

        assert build(many, encoder).removed == 15

    def test_a_missing_folder_is_named(self, tmp_path: Path, encoder: CountingEncoder) -> None:
        with pytest.raises(OptionError, match="does not exist"):
            build(tmp_path / "gone", encoder)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
    def test_an_unreadable_folder_keeps_its_rows(self, photos: Path, encoder: CountingEncoder) -> None:
        build(photos, encoder)
        (photos / "a").chmod(0)
        try:
            report = build(photos, encoder)
        finally:
            (photos / "a").chmod(0o755)

        assert report.removed == 0
        assert len(paths(photos, encoder)) == 12


def test_rows_below_what_cannot_be_looked_at_are_not_missing() -> None:
    keys = [b"closed/x.png", b"closed/deep/y.png", b"closed.png", b"denied.png", b"gone.png", b"sick.png"]
    records = [Record(id=number, key=key, content=b"", stamp=bytes(16)) for number, key in enumerate(keys)]
    entries = [
        Skipped(key=b"closed", reason="permission", detail="", folder=True),
        Skipped(key=b"denied.png", reason="permission", detail=""),
        Skipped(key=b"sick.png", reason="read-error", detail=""),
        Skipped(key=b"gone.png", reason="vanished", detail=""),
    ]

    packed = [(np.arange(len(records)), [pack_record(record) for record in records])]

    changes = compare(
        entries,
        StoredFiles.of(packed, most=len(records)),
        source=FolderSource(Path("photos"), FolderOptions()),
        records=lambda ids: [records[number] for number in ids],
        before=FolderMemory(),
        seen=Seen(),
    )

    assert changes.missing == {b"closed.png": 2, b"gone.png": 4}
    assert [file.key for file in changes.skipped] == [b"closed", b"denied.png", b"sick.png", b"gone.png"]
    refuse_emptying(rows=30, removed=0, found=0, folder=Path("photos"))

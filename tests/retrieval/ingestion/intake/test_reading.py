"""Fresh files of a size that is stored already are read once, by threads."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest

import retrieval.sources.decoding
from retrieval.columns import Value
from retrieval.ingestion.intake import fresh_files, intake
from retrieval.sources.folders.folder import FolderSource
from tests.retrieval.folders import CountingEncoder, picture, touch_later
from tests.retrieval.ingestion.galleries import bitmaps, build, paths


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return bitmaps(tmp_path / "photos", 20)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Names of the files that are read, and of the threads that read them."""
    found: list[tuple[str, str]] = []
    real = retrieval.sources.decoding.read_file

    def recording(path: str, **options: object) -> bytes:
        found.append((Path(path).name, threading.current_thread().name))
        return real(path, **options)

    monkeypatch.setattr(retrieval.sources.decoding, "read_file", recording)
    return found


def test_new_files_of_a_known_size_are_read_once_and_not_by_the_main_thread(
    photos: Path, encoder: CountingEncoder, reads: list[tuple[str, str]]
) -> None:
    build(photos, encoder)
    reads.clear()
    for number in range(100, 130):
        picture(number).save(photos / f"{number}.bmp")

    report = build(photos, encoder)

    assert (report.images, report.encoded) == (50, 30)
    assert set(Counter(name for name, _ in reads).values()) == {1}
    assert len(reads) == 30
    assert threading.main_thread().name not in {thread for _, thread in reads}


def test_threads_that_wait_for_a_network_do_nothing_else_with_new_files(
    photos: Path, encoder: CountingEncoder, reads: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    real = fresh_files.header_columns

    def recording(data: bytes) -> dict[str, Value]:
        looks.append(threading.current_thread().name)
        return real(data)

    monkeypatch.setattr(fresh_files, "header_columns", recording)
    monkeypatch.setattr(FolderSource, "readers", 8, raising=False)

    report = build(photos, encoder)

    assert (report.encoded, len(reads), len(looks)) == (20, 20, 20)
    assert {thread.rpartition("_")[0] for _, thread in reads} == {"retrieval-hash"}
    assert {thread.rpartition("_")[0] for thread in looks} == {"retrieval-decode"}

    shutil.move(photos / "3.bmp", photos / "moved.bmp")
    picture(100).save(photos / "100.bmp")
    report = build(photos, encoder)

    assert (report.images, report.encoded, report.moved) == (21, 1, 1)
    assert (len(reads), len(looks)) == (22, 22)


def test_files_beyond_the_memory_for_them_are_read_again(
    photos: Path, encoder: CountingEncoder, reads: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HELD_BYTES", 1000)
    build(photos, encoder)
    reads.clear()
    for number in range(100, 110):
        picture(number).save(photos / f"{number}.bmp")

    assert build(photos, encoder).images == 30
    assert set(Counter(name for name, _ in reads).values()) == {2}


def test_touched_moved_copied_and_new_files_among_many_of_one_size(
    photos: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder)
    before = paths(photos, encoder)
    encoder.encoded = 0
    touch_later(photos / "0.bmp")
    (photos / "1.bmp").rename(photos / "moved.bmp")
    for number in range(40):
        shutil.copy(photos / "2.bmp", photos / f"copy{number}.bmp")
        picture(300).save(photos / f"new{number}.bmp")

    report = build(photos, encoder)

    assert (report.images, report.encoded, report.moved, report.removed) == (100, 1, 1, 0)
    assert report.reused == 1 + 40 + 39
    after = paths(photos, encoder)
    assert after["moved.bmp"] == before["1.bmp"]
    assert encoder.encoded == 1


def test_an_error_while_files_are_hashed_leaves_no_thread(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(photos, encoder)
    before = set(threading.enumerate())
    for number in range(20):
        touch_later(photos / f"{number}.bmp")

    def stop(progress: retrieval.Progress) -> None:
        if progress.phase != "scan":
            raise KeyboardInterrupt

    monkeypatch.setattr(intake.Intake, "_reuse", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(photos, encoder, progress=stop)

    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("retrieval-")]
    monkeypatch.undo()
    assert build(photos, encoder).images == 20

"""With rehash the content of every file decides, whatever its size and time say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexes.generation.manifest import read_manifest
from retrieval.sources.skipped_list import read_skipped
from tests.retrieval.folders import CountingEncoder, picture
from tests.retrieval.ingestion.galleries import bitmaps, build


def disguise(path: Path, data: bytes) -> None:
    """Give a file other bytes of the same length, and the time that it had."""
    status = path.stat()
    assert len(data) <= status.st_size
    path.write_bytes(data + bytes(status.st_size - len(data)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return bitmaps(tmp_path / "photos", 12)


def test_a_change_under_the_same_size_and_time_is_seen(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    picture(500).save(photos.parent / "other.bmp")
    disguise(photos / "3.bmp", (photos.parent / "other.bmp").read_bytes())
    encoder.encoded = 0

    assert build(photos, encoder).encoded == 0  # nobody sees it
    report = build(photos, encoder, rehash=True)

    assert (report.images, report.encoded, report.reused, report.moved, report.removed) == (12, 1, 0, 0, 0)
    assert encoder.encoded == 1
    assert build(photos, encoder, rehash=True).encoded == 0


def test_nothing_changed_is_nothing_to_do(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "broken.bmp").write_text("no picture")
    build(photos, encoder)
    generation = read_manifest(photos / ".retrieve").generation
    encoder.encoded = 0

    report = build(photos, encoder, rehash=True)

    assert (report.images, report.encoded, report.reused, report.skipped) == (12, 0, 0, 1)
    assert encoder.encoded == 0
    assert read_manifest(photos / ".retrieve").generation == generation


def test_a_swap_that_kept_sizes_and_times_is_seen(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    one, other = (photos / "1.bmp").read_bytes(), (photos / "2.bmp").read_bytes()
    disguise(photos / "1.bmp", other)
    disguise(photos / "2.bmp", one)
    encoder.encoded = 0

    report = build(photos, encoder, rehash=True)

    assert (report.images, encoder.encoded, report.removed) == (12, 0, 0)
    assert report.reused == 2


def test_what_gave_no_vector_is_tried_again(photos: Path, encoder: CountingEncoder) -> None:
    picture(600).save(photos.parent / "other.bmp")
    data = (photos.parent / "other.bmp").read_bytes()
    for name in ("broken.bmp", "unknown"):
        (photos / name).write_bytes(b"x" * len(data))
    assert build(photos, encoder).skipped == 1
    for name in ("broken.bmp", "unknown"):
        disguise(photos / name, data)
    assert build(photos, encoder).images == 12

    report = build(photos, encoder, rehash=True)

    assert (report.images, report.skipped, report.other_files) == (14, 0, {})
    assert read_skipped(photos / ".retrieve") == {}


def test_a_file_that_broke_under_its_size_and_time_loses_its_row(
    photos: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder)
    disguise(photos / "5.bmp", b"broken")

    report = build(photos, encoder, rehash=True)

    assert (report.images, report.removed, report.skipped) == (11, 1, 1)

"""Files that are no images are listed, counted, and not tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import ImagesSkipped
from retrieval.skipped import read_skipped
from tests.retrieval.building.galleries import build, paths
from tests.retrieval.folders import CountingEncoder, touch_later


def test_broken_files_are_listed_counted_and_not_tried_again(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.jpg").write_text("not an image")
    half = (photos / "a/0.png").read_bytes()
    (photos / "half.png").write_bytes(half[: len(half) // 2])

    report = build(photos, encoder)

    assert report.images == 12
    assert report.skipped == 3 == sum(report.skipped_by_reason.values())
    assert set(read_skipped(photos / ".retrieve")) == {b"empty.jpg", b"text.jpg", b"half.png"}
    again = build(photos, encoder)
    assert again.skipped == 3
    assert again.skipped_by_reason == report.skipped_by_reason

    (photos / "half.png").write_bytes(half)
    touch_later(photos / "half.png")
    mended = build(photos, encoder)
    assert (mended.images, mended.skipped) == (13, 2)


def test_a_file_that_broke_loses_its_old_vector(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / "a/0.png").write_bytes(b"")

    report = build(photos, encoder)

    assert (report.images, report.removed, report.skipped) == (11, 1, 1)


def test_strict_fails_after_a_complete_build(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "empty.jpg").write_bytes(b"")

    with pytest.raises(ImagesSkipped, match="1 empty"):
        build(photos, encoder, strict=True)

    assert len(paths(photos, encoder)) == 12


def test_only_broken_files_is_a_collection_without_images_every_time(
    tmp_path: Path, encoder: CountingEncoder
) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")

    reports = [build(tmp_path, encoder) for _ in range(2)]

    assert [(report.images, report.skipped) for report in reports] == [(0, 1), (0, 1)]


def test_a_part_of_the_root_keeps_the_list_of_the_others(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "a/empty.jpg").write_bytes(b"")
    (photos / "b/empty.jpg").write_bytes(b"")
    build(photos, encoder)

    report = retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)

    assert report.skipped == 1
    assert set(read_skipped(photos / ".retrieve")) == {b"a/empty.jpg", b"b/empty.jpg"}

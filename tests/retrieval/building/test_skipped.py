"""Files that are no images are listed, counted, and not tried again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import ImagesSkipped, OptionError
from retrieval.skipped import read_skipped
from tests.retrieval.building.galleries import build, paths
from tests.retrieval.folders import CountingEncoder, picture, touch_later


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


def hiccup(monkeypatch: pytest.MonkeyPatch, path: Path, error: Exception) -> None:
    """Let opening this one file fail."""
    real = os.open

    def failing(name: object, *arguments: object, **options: object) -> int:
        if name == str(path):
            raise error
        return real(name, *arguments, **options)

    monkeypatch.setattr(os, "open", failing)


TRANSIENT = [
    (OSError(errno.EIO, "Input/output error"), "read-error"),
    (OSError(errno.ESTALE, "Stale file handle"), "read-error"),
    (OSError(errno.EMFILE, "Too many open files"), "read-error"),
    (PermissionError(errno.EACCES, "Permission denied"), "permission"),
    (MemoryError(), "out-of-memory"),
]


@pytest.mark.parametrize(("error", "reason"), TRANSIENT)
def test_a_file_that_the_system_could_not_read_is_tried_again(
    photos: Path,
    encoder: CountingEncoder,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    with monkeypatch.context() as patch:
        hiccup(patch, photos / "a/0.png", error)
        report = build(photos, encoder)
    assert (report.images, report.skipped_by_reason) == (11, {reason: 1})

    again = build(photos, encoder)

    assert (again.images, again.encoded, again.skipped) == (12, 1, 0)


@pytest.mark.parametrize(("error", "reason"), TRANSIENT)
def test_a_touched_file_that_the_system_could_not_read_keeps_its_row(
    photos: Path,
    encoder: CountingEncoder,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    build(photos, encoder)
    before = paths(photos, encoder)
    picture(200).save(photos / "a/0.png")
    touch_later(photos / "a/0.png")

    with monkeypatch.context() as patch:
        hiccup(patch, photos / "a/0.png", error)
        report = build(photos, encoder)

    assert (report.images, report.removed, report.skipped_by_reason) == (12, 0, {reason: 1})
    assert paths(photos, encoder) == before
    again = build(photos, encoder)
    assert (again.images, again.encoded, again.skipped) == (12, 1, 0)


def test_formats_that_are_not_read_are_listed_unopened_and_other_files_are_not(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/IMG_1.CR2", "map.jp2", "logo.svg", "a/IMG_1.xmp", "notes.txt", "film.mp4"):
        (photos / name).write_bytes(b"x")
    opened: list[object] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *rest, **options: opened.append(name) or real(name, *rest, **options)
    )

    report = build(photos, encoder)

    assert (report.images, report.skipped_by_reason) == (12, {"unsupported-format": 3})
    assert set(read_skipped(photos / ".retrieve")) == {b"a/IMG_1.CR2", b"map.jp2", b"logo.svg"}
    assert not any(str(name).endswith((".CR2", ".jp2", ".svg")) for name in opened)
    assert build(photos, encoder, exclude=["*.CR2", "*.jp2", "*.svg"]).skipped == 0


def test_a_folder_of_formats_that_are_not_read_says_so(tmp_path: Path, encoder: CountingEncoder) -> None:
    (tmp_path / "a.nef").write_bytes(b"x")

    with pytest.raises(OptionError, match=r"1 unsupported-format.*jpg"):
        build(tmp_path, encoder)

"""Files that are no images are listed, counted, and not tried again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import ImagesSkipped, OptionError
from retrieval.sources import keys
from retrieval.sources.skipped_list import SkippedFile, read_skipped, write_skipped
from tests.retrieval.folders import CountingEncoder, picture, touch_later
from tests.retrieval.ingestion.galleries import build, paths


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
    for name in ("a/IMG_1.PSD", "map.jp2", "logo.svg", "a/IMG_1.xmp", "notes.txt", "film.mp4"):
        (photos / name).write_bytes(b"x")
    opened: list[object] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *rest, **options: opened.append(name) or real(name, *rest, **options)
    )

    report = build(photos, encoder)

    assert (report.images, report.skipped_by_reason) == (12, {"unsupported-format": 3})
    assert set(read_skipped(photos / ".retrieve")) == {b"a/IMG_1.PSD", b"map.jp2", b"logo.svg"}
    assert not any(str(name).endswith((".PSD", ".jp2", ".svg")) for name in opened)
    assert build(photos, encoder, exclude=["*.PSD", "*.jp2", "*.svg"]).skipped == 0


def test_a_folder_of_formats_that_are_not_read_says_so(tmp_path: Path, encoder: CountingEncoder) -> None:
    (tmp_path / "a.xcf").write_bytes(b"x")

    with pytest.raises(OptionError, match=r"1 unsupported-format.*jpg"):
        build(tmp_path, encoder)


ODD = [
    b"tab\there.jpg", b"line\nbreak.jpg", b"\xff\xfe.jpg", b"per%cent%0A.jpg", "ünï \u2028 \u202e.jpg".encode(), b"\x1b[31m.jpg",
    b"quote\"'.jpg", b" blank .jpg", b"\r.jpg", b"mixed\xff\t\xc3\xa9.jpg", b"#.jpg", b"path",
]  # fmt: skip


def test_a_list_of_odd_names_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = [
        SkippedFile(key=key, reason="unreadable", detail=f"is broken (at {number}\t\n\x1b[31m\x07)")
        for number, key in enumerate(ODD)
    ]
    write_skipped(tmp_path, files)

    found = read_skipped(tmp_path)

    assert set(found) == set(ODD)
    text = (tmp_path / "skipped.tsv").read_bytes().decode()
    assert len(text.splitlines()) == len(ODD) + 1
    assert all(line.count("\t") == 2 for line in text.splitlines())
    assert not any(char not in "\n\t" and not char.isprintable() for char in text)
    write_skipped(tmp_path, found.values())
    assert (tmp_path / "skipped.tsv").read_bytes().decode() == text


def test_broken_files_of_odd_names_are_listed_and_not_tried_again(
    tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ODD:
        with open(os.path.join(os.fsencode(tmp_path), key), "wb") as file:
            file.write(b"\xff\xd8\xff no picture follows")
    first = build(tmp_path, encoder)
    monkeypatch.setattr(
        "retrieval.sources.decoding.read_file", lambda path: pytest.fail(f"{path!r} was opened")
    )

    again = build(tmp_path, encoder)

    assert set(read_skipped(tmp_path / ".retrieve")) == set(ODD)
    assert again.skipped_by_reason == first.skipped_by_reason
    assert again.skipped == len(ODD)


def test_the_list_has_what_people_read_and_no_more(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "a/text.jpg").write_text("no picture")
    (photos / "empty.png").touch()
    half = (photos / "a/0.png").read_bytes()
    (photos / "half.png").write_bytes(half[: len(half) // 2])

    build(photos, encoder)

    header, *lines = (photos / ".retrieve/skipped.tsv").read_text().splitlines()
    assert header == "path\treason\tdetail"
    assert [line.split("\t")[0] for line in lines] == ["a/text.jpg", "empty.png", "half.png"]
    for line in lines:
        detail = line.split("\t")[2]
        assert detail.startswith(("is ", "is cut"))  # what is wrong; the path stands in front
        assert "image:" not in detail


def test_the_list_of_the_first_versions_is_read(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "text.jpg").write_text("no picture")
    build(photos, encoder)
    status = (photos / "text.jpg").stat()
    stamp = keys.stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)
    (photos / ".retrieve/skipped.tsv").write_text(
        f"path\treason\tstamp\tdetail\ntext.jpg\tunreadable\t{stamp.hex()}\told words\n"
    )
    (photos / ".retrieve/rejected.bin").unlink()

    build(photos, encoder)

    assert read_skipped(photos / ".retrieve")[b"text.jpg"].detail == "old words"  # it was not tried again
    assert (photos / ".retrieve/skipped.tsv").read_text().startswith("path\treason\tdetail\n")

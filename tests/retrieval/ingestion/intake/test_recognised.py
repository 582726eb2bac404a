"""What is an image is told by its first bytes, and a file that is none is looked at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import ImagesSkipped, OptionError
from retrieval.sources.skipped_list import read_skipped
from tests.retrieval.folders import CountingEncoder, fill, picture, touch_later
from tests.retrieval.ingestion.galleries import build, paths


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, photos: Path) -> list[str]:
    """Names of the files below the photographs that are opened, those of the collection left out."""
    names: list[str] = []
    real = os.open

    def recording(path: object, *arguments: object, **options: object) -> int:
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if name.startswith(f"{photos}/") and "/.retrieve" not in name and not os.path.isdir(name):
            names.append(os.path.relpath(name, photos))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", recording)
    return names


def test_images_of_any_name_are_indexed(photos: Path, encoder: CountingEncoder) -> None:
    odd = {
        "x.MPO": "MPO", "y.apng": "PNG", "z.jif": "JPEG", "no_suffix": "JPEG", "holiday.JPG.bak": "PNG", "a/1.txt": "WEBP",
        ".hidden": "GIF", "b/c.tar.gz": "TIFF", "w.dib": "BMP", "v.data": "BMP", "._odd.jpg": "JPEG",
    }  # fmt: skip
    for number, (name, form) in enumerate(odd.items(), start=50):
        picture(number).save(photos / name, format=form)

    report = build(photos, encoder)

    assert (report.images, report.skipped, report.other_files) == (12 + len(odd), 0, {})
    assert set(odd) < set(paths(photos, encoder))


def test_other_files_are_counted_by_suffix_and_are_no_lines(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    (photos / "a/film2.MP4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    (photos / "paper.pdf").write_bytes(b"%PDF-1.7 and so on and on")
    (photos / "README").write_text("BM is how this text begins, and it goes on for a while, as texts do")
    (photos / "empty").touch()
    os.mkfifo(photos / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(photos)  # the name of a socket must be short
        listening.bind("s")
        report = build(photos, encoder, strict=True)

    assert report.other_files == {"mp4": 2, "": 2, "pdf": 1}
    assert (report.images, report.skipped) == (12, 0)
    assert "other_files" not in report.to_json()


def test_a_build_that_finds_nothing_new_opens_no_file(
    photos: Path, encoder: CountingEncoder, opened: list[str]
) -> None:
    picture(70).save(photos / "no_suffix", format="PNG")
    (photos / "notes.txt").write_text("nothing but words, and enough of them")
    (photos / "broken.png").write_text("no picture, whatever the name says")
    (photos / "broken").write_bytes((photos / "a/0.png").read_bytes()[:60])
    (photos / "raw.xcf").write_bytes(b"x" * 100)
    (photos / "raw").write_bytes(b"FUJIFILMCCD-RAW" + bytes(100))
    first = build(photos, encoder)
    assert {"no_suffix", "notes.txt", "broken.png", "broken", "raw"} <= set(opened)
    assert "raw.xcf" not in opened
    del opened[:]

    again = [build(photos, encoder) for _ in range(3)]

    assert opened == []
    for report in again:
        assert report.skipped_by_reason == first.skipped_by_reason
        assert report.other_files == first.other_files == {"txt": 1}
        assert report.images == first.images == 13
    assert set(read_skipped(photos / ".retrieve")) == {b"broken.png", b"broken", b"raw.xcf", b"raw"}


def test_only_what_changed_is_looked_at_again(
    photos: Path, encoder: CountingEncoder, opened: list[str]
) -> None:
    for name in ("one.txt", "two.txt", "three"):
        (photos / name).write_text(f"words of {name}")
    build(photos, encoder)
    del opened[:]
    picture(71).save(photos / "two.txt", format="PNG")
    touch_later(photos / "three")

    report = build(photos, encoder)

    assert sorted(set(opened)) == ["three", "two.txt"]
    assert (report.images, report.encoded, report.other_files) == (13, 1, {"txt": 1, "": 1})


def test_an_image_without_suffix_that_becomes_a_text_loses_its_row(
    photos: Path, encoder: CountingEncoder
) -> None:
    picture(72).save(photos / "thing", format="PNG")
    build(photos, encoder)
    (photos / "thing").write_text("words now, nothing but words")

    report = build(photos, encoder)

    assert (report.images, report.removed, report.skipped, report.other_files) == (12, 1, 0, {"": 1})


def test_a_name_that_claims_an_image_is_a_line_whatever_it_holds(
    photos: Path, encoder: CountingEncoder
) -> None:
    (photos / "text.bmp").write_text("BMW, and other cars")
    (photos / "page.jpg").write_text("<html>")
    (photos / "pipe").mkdir()
    os.mkfifo(photos / "pipe/x.jpg")

    report = build(photos, encoder)

    assert set(read_skipped(photos / ".retrieve")) == {b"text.bmp", b"page.jpg", b"pipe/x.jpg"}
    assert report.skipped == 3
    with pytest.raises(ImagesSkipped):
        build(photos, encoder, strict=True)


def test_what_is_remembered_goes_with_its_files(photos: Path, encoder: CountingEncoder) -> None:
    rejected = photos / ".retrieve/rejected.bin"
    for number in range(50):
        (photos / f"{number}.txt").write_text("words, and more words")
    build(photos, encoder)
    assert rejected.stat().st_size == 400
    for number in range(40):
        (photos / f"{number}.txt").unlink()

    build(photos, encoder)

    assert rejected.stat().st_size == 80


def test_a_part_of_the_root_keeps_what_is_known_of_the_others(
    photos: Path, encoder: CountingEncoder, opened: list[str]
) -> None:
    (photos / "a/1.txt").write_text("words of a, and more")
    (photos / "b/2.txt").write_text("words of b, and more")
    build(photos, encoder)
    del opened[:]

    report = retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)
    build(photos, encoder)

    assert report.other_files == {"txt": 1}
    assert opened == []


def test_a_lost_memory_costs_a_look_and_nothing_else(
    photos: Path, encoder: CountingEncoder, opened: list[str]
) -> None:
    (photos / "1.txt").write_text("words, and more words")
    (photos / "2.png").write_text("words, and more words")
    build(photos, encoder)
    for name in ("rejected.bin", "skipped.tsv", "folders.tsv"):
        (photos / ".retrieve" / name).unlink()
    del opened[:]

    report = build(photos, encoder)

    assert (report.images, report.skipped, report.other_files) == (12, 1, {"txt": 1})
    assert sorted(set(opened)) == ["1.txt", "2.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unknown_file_that_may_not_be_read_is_a_line(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "secret").write_text("words, and more words")
    (photos / "secret").chmod(0)

    assert build(photos, encoder).skipped_by_reason == {"permission": 1}


def test_a_folder_without_images_says_so(tmp_path: Path, encoder: CountingEncoder) -> None:
    (tmp_path / "notes.txt").write_text("words, and more words")

    with pytest.raises(OptionError, match="no images"):
        build(tmp_path, encoder)


def test_a_page_written_into_the_folder_makes_nothing_stale(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    with retrieval.open(photos, encoder=encoder) as collection:
        (photos / "hits.html").write_text("<html>")
        (photos / "a/list.txt").write_text("a/0.png")
        assert not collection.changed()
        fill(photos, ["new.png"], first=90)
        assert collection.changed()

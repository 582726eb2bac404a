"""What is remembered of a folder: only images that come or go make its collection stale."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from retrieval.sources import Folder, Seen
from retrieval.sources.folders import folder_memory
from retrieval.sources.folders.folder_memory import (
    changed_since,
    read_folders,
    read_rejected,
    write_folders,
    write_rejected,
)
from retrieval.sources.folders.folder_options import FolderOptions
from retrieval.sources.folders.folder_walk import walk
from tests.retrieval.folders import fill


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = fill(tmp_path / "root", ["a/b/x.png", "a/y.png", "a/no_suffix", "z.png"])
    (root / "a/page.html").write_text("<html>")
    return root


def remember(directory: Path, root: Path, **options: object) -> None:
    seen = Seen()
    for entry in walk(root, seen=seen, **options):
        if not entry.claimed:
            seen.folders[entry.key.rpartition(b"/")[0]].add(entry.key)
    write_folders(directory, seen.folders)


def stale(directory: Path, root: Path, **options: object) -> bool:
    return changed_since(directory, root, FolderOptions(**options))


def test_nothing_changed_is_not_stale(tmp_path: Path, root: Path) -> None:
    remember(tmp_path, root)

    assert not stale(tmp_path, root)


@pytest.mark.parametrize("name", ["hits.html", "a/hits.json", "a/b/list", ".hidden.txt", "a/._x.png"])
def test_a_file_that_is_no_image_makes_nothing_stale(tmp_path: Path, root: Path, name: str) -> None:
    remember(tmp_path, root)
    (root / name).write_text("words, and nothing but words")

    assert not stale(tmp_path, root)


@pytest.mark.parametrize("name", ["new.png", "a/new.JPG", "a/b/new", "a/raw.xcf", "c/new.png"])
def test_an_image_that_comes_does(tmp_path: Path, root: Path, name: str) -> None:
    remember(tmp_path, root)
    fill(root, [name], first=50)

    assert stale(tmp_path, root)


@pytest.mark.parametrize("name", ["z.png", "a/b/x.png", "a/no_suffix"])
def test_an_image_that_goes_does(tmp_path: Path, root: Path, name: str) -> None:
    remember(tmp_path, root)
    (root / name).unlink()

    assert stale(tmp_path, root)


def test_a_renamed_image_and_a_folder_that_goes_do(tmp_path: Path, root: Path) -> None:
    remember(tmp_path, root)
    (root / "z.png").rename(root / "y.png")
    assert stale(tmp_path, root)
    (root / "y.png").rename(root / "z.png")
    assert not stale(tmp_path, root)

    (root / "a/b").rename(tmp_path / "elsewhere")

    assert stale(tmp_path, root)


def test_what_is_excluded_or_left_out_makes_nothing_stale(tmp_path: Path, root: Path) -> None:
    remember(tmp_path, root, exclude=["*.gif"])
    fill(root, ["a/new.gif", "@eaDir/x.png"], first=60)

    assert not stale(tmp_path, root, exclude=["*.gif"])
    assert stale(tmp_path, root)
    assert stale(tmp_path, root, exclude=["*.gif"], include=["@eaDir"])


def test_more_unknown_files_than_may_be_opened_are_taken_for_a_change(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_memory, "_MOST_OPENED", 3)
    remember(tmp_path, root)
    for number in range(4):
        (root / f"{number}.txt").write_text("words")

    assert stale(tmp_path, root)


def test_folders_are_read_as_they_were_written(tmp_path: Path) -> None:
    folders = {
        b"": Folder(time=-5, names=0),
        b"new\nline\ttab \xff": Folder(time=10**19, names=1 << 40, mount=True),
        b"x": Folder(time=7, names=3),
    }
    write_folders(tmp_path, folders)

    assert read_folders(tmp_path) == folders


def test_the_list_of_the_first_version_is_read(tmp_path: Path, root: Path) -> None:
    times = {b"": os.stat(root).st_mtime_ns, b"a": os.stat(root / "a").st_mtime_ns}
    (tmp_path / "folders.tsv").write_bytes(b"".join(b"%d\t%s\0" % (time, key) for key, time in times.items()))

    assert not stale(tmp_path, root)
    (root / "a/page2.html").touch()  # it knew no names
    assert stale(tmp_path, root)


@pytest.mark.parametrize("data", [b"", b"x", b"folders 2\0\0", b"folders 2\0a\tb\tc\td\0", b"\xff" * 100])
def test_a_damaged_list_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "folders.tsv").write_bytes(data)

    assert read_folders(tmp_path) == {}


def test_what_gave_no_vector_is_kept_sorted_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_memory, "_MOST_REJECTED", 3)
    write_rejected(tmp_path, folder_memory.digests([9, 2, 2**64 - 1, 5]))

    np.testing.assert_array_equal(read_rejected(tmp_path), np.array([2, 5, 9], np.uint64))
    (tmp_path / "rejected.bin").write_bytes(b"\1" * 20)
    assert len(read_rejected(tmp_path)) == 1


def test_nothing_is_written_where_it_is_kept_already(tmp_path: Path, root: Path) -> None:
    remember(tmp_path, root)
    write_rejected(tmp_path, folder_memory.digests([1, 2]))
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}

    remember(tmp_path, root)
    write_rejected(tmp_path, folder_memory.digests([2, 1]))

    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before

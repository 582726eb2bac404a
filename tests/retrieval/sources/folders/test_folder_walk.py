"""Walking: every image file once, in a fixed order, and nothing vanishes silently."""

import os
import socket
import time
from pathlib import Path

import pytest

from retrieval.sources import SUFFIXES, UNSUPPORTED, Found, Skipped
from retrieval.sources.folders.folder_walk import walk
from retrieval.sources.folders.listing import RAW_SUFFIXES
from retrieval.sources.folders.selection import SKIPPED_FOLDERS


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def keys(root: Path, **options: object) -> list[bytes]:
    return [item.key for item in walk(root, **options) if isinstance(item, Found)]


def skipped(root: Path, **options: object) -> dict[bytes, str]:
    return {item.key: item.reason for item in walk(root, **options) if isinstance(item, Skipped)}


def test_every_suffix_in_any_case_and_nothing_else(tmp_path: Path) -> None:
    plain = SUFFIXES - RAW_SUFFIXES
    names = {f"a.{case}" for suffix in plain for case in (suffix, suffix.upper(), suffix.title())}
    touch(tmp_path, *names, "a.txt", "jpg", ".jpg", "a.jpg.part", "a.mp4", "a.JPG~", "a.")

    assert set(keys(tmp_path)) == {os.fsencode(name) for name in names}


def test_formats_that_are_not_read_are_told_unopened(tmp_path: Path) -> None:
    assert not SUFFIXES & UNSUPPORTED
    touch(tmp_path, *(f"a.{suffix.upper()}" for suffix in UNSUPPORTED), "thumbs/b.xcf", ".psd", "c.psd/d.jpg")
    os.mkfifo(tmp_path / "pipe.psd")

    told = skipped(tmp_path, exclude=["thumbs"])

    assert set(told) == {os.fsencode(f"a.{suffix.upper()}") for suffix in UNSUPPORTED} | {b"pipe.psd"}
    assert set(told.values()) == {"unsupported-format"}
    assert keys(tmp_path) == [b"c.psd/d.jpg"]


def test_the_order_is_fixed_and_facts_are_right(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.jpg", "b/1.jpg", "a.jpg", "c.jpg", "b.jpg", "B/1.jpg")
    os.utime(tmp_path / "c.jpg", ns=(5, 1_234_567_890_123_456_789))
    (tmp_path / "c.jpg").write_bytes(b"four")
    os.utime(tmp_path / "c.jpg", ns=(5, 1_234_567_890_123_456_789))

    found = list(walk(tmp_path))

    assert [item.key for item in found] == [b"B/1.jpg", b"a.jpg", b"b/1.jpg", b"b/2.jpg", b"b.jpg", b"c.jpg"]
    assert found[-1] == Found(
        key=b"c.jpg", path=str(tmp_path / "c.jpg"), size=4, mtime_ns=1_234_567_890_123_456_789
    )


def test_a_relative_root_and_a_trailing_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "photos/a.jpg")
    monkeypatch.chdir(tmp_path)

    for root in ("photos", "photos/", "./photos", tmp_path / "photos"):
        assert [(item.key, item.path) for item in walk(root)] == [
            (b"a.jpg", str(tmp_path / "photos" / "a.jpg"))
        ]


def test_folders_of_machines_and_trash_are_passed_over_but_hidden_ones_are_not(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(f"{folder}/a.jpg" for folder in SKIPPED_FOLDERS),
        ".Trash-1000/files/a.jpg",
        "._a.jpg",
        "._b/a.jpg",
    )
    touch(tmp_path, ".private/a.jpg", ".hidden.jpg", "deep/.retrieve/a.jpg")

    assert keys(tmp_path) == [b".hidden.jpg", b".private/a.jpg"]
    assert skipped(tmp_path) == {}


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["*.gif"], [b"a/b/c.jpg", b"a/d.jpg", b"thumbs/e.jpg"]),
        (["a/*"], [b"f.gif", b"thumbs/e.jpg"]),
        (["a/*.jpg"], [b"a/b/c.jpg", b"f.gif", b"thumbs/e.jpg"]),
        (["thumbs"], [b"a/b/c.jpg", b"a/d.jpg", b"f.gif"]),
        (["thumbs/"], [b"a/b/c.jpg", b"a/d.jpg", b"f.gif"]),
        (["b", "*.gif", "e.*"], [b"a/d.jpg"]),
        (["**/c.jpg"], [b"a/d.jpg", b"f.gif", b"thumbs/e.jpg"]),
        (["A", "*/f.gif", "/b"], [b"a/b/c.jpg", b"a/d.jpg", b"f.gif", b"thumbs/e.jpg"]),
        (["/a", "/*.gif"], [b"thumbs/e.jpg"]),
    ],
)
def test_exclude(tmp_path: Path, exclude: list[str], left: list[bytes]) -> None:
    touch(tmp_path, "a/b/c.jpg", "a/d.jpg", "thumbs/e.jpg", "f.gif")

    assert keys(tmp_path, exclude=exclude) == left


def test_an_excluded_folder_is_not_even_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "big/a.jpg", "b.jpg")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))

    assert keys(tmp_path, exclude=["big"]) == [b"b.jpg"]
    assert listed == [str(tmp_path)]


def test_links_to_files_count_and_links_to_folders_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "outside/a.jpg", "root/b.jpg")
    (tmp_path / "root/link.jpg").symlink_to(tmp_path / "outside/a.jpg")
    (tmp_path / "root/folder").symlink_to(tmp_path / "outside")
    (tmp_path / "root/gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "root/gone.txt").symlink_to("nowhere.txt")

    assert keys(tmp_path / "root") == [b"b.jpg", b"link.jpg"]
    assert skipped(tmp_path / "root") == {b"folder": "link-not-followed", b"gone.jpg": "vanished"}
    assert keys(tmp_path / "root", follow_links=True) == [b"b.jpg", b"folder/a.jpg", b"link.jpg"]
    assert [item.folder for item in walk(tmp_path / "root") if isinstance(item, Skipped)] == [True, False]


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "self.jpg").symlink_to("self.jpg")

    assert keys(tmp_path, follow_links=True) == [b"a/1.jpg", b"a/to_b/2.jpg", b"b/2.jpg", b"b/to_a/1.jpg"]
    assert skipped(tmp_path, follow_links=True) == {
        b"a/to_b/to_a": "link-loop",
        b"a/up": "link-loop",
        b"b/to_a/to_b": "link-loop",
        b"b/to_a/up": "link-loop",
        b"self.jpg": "link-loop",
    }


def test_strange_names(tmp_path: Path) -> None:
    names = [
        b"new\nline.jpg",
        b"\xff\xfe.jpg",
        "\N{SNOWMAN} \N{GRINNING FACE}.jpg".encode(),
        b"tab\t'\"$(x).jpg",
        b"\x1b[31m.jpg",
        b"-rf.jpg",
    ]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xe9t\xe9.jpg"))
    inside = b"\xe9t\xe9.jpg/a.jpg"
    with open(os.path.join(os.fsencode(tmp_path), inside), "wb"):
        pass

    found = list(walk(tmp_path, exclude=["nothing*"]))

    assert {item.key for item in found} == {*names, inside}
    assert all(os.path.exists(item.path) for item in found)


def test_special_files_are_told_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.png"))

        assert skipped(tmp_path) == {b"pipe.jpg": "not-a-file", b"s.png": "not-a-file"}


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "closed/a.jpg", "gone/a.jpg", "sick/a.jpg", "z.jpg")
    errors = {
        str(tmp_path / "closed"): PermissionError(13, "Permission denied"),
        str(tmp_path / "gone"): FileNotFoundError(2, "No such file or directory"),
        str(tmp_path / "sick"): OSError(5, "Input/output error"),
    }
    scandir = os.scandir

    def failing(path: str) -> object:
        if path in errors:
            raise errors[path]
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)

    assert [
        (item.key, item.reason, item.detail, item.folder)
        for item in walk(tmp_path)
        if isinstance(item, Skipped)
    ] == [
        (b"closed", "permission", "Permission denied", True),
        (b"gone", "vanished", "No such file or directory", True),
        (b"sick", "read-error", "Input/output error", True),
    ]
    assert keys(tmp_path) == [b"z.jpg"]


@pytest.mark.parametrize(("name", "error"), [("gone", FileNotFoundError), ("a.jpg", NotADirectoryError)])
def test_a_missing_root_is_an_error_not_an_empty_folder(
    tmp_path: Path, name: str, error: type[OSError]
) -> None:
    touch(tmp_path, "a.jpg")

    with pytest.raises(error):
        list(walk(tmp_path / name))


def test_a_folder_deep_beyond_recursion(tmp_path: Path) -> None:
    folders = [os.path.join(str(tmp_path), *["d"] * depth) for depth in range(1, 1501)]
    for folder in folders:
        os.mkdir(folder)
    image = os.path.join(folders[-1], "a.jpg")
    with open(image, "wb"):
        pass

    try:
        assert keys(tmp_path) == [b"d/" * 1500 + b"a.jpg"]
    finally:
        os.remove(image)
        for folder in reversed(folders):
            os.rmdir(folder)


def test_a_folder_named_like_an_image_is_entered(tmp_path: Path) -> None:
    touch(tmp_path, "album.jpg/a.png")

    assert keys(tmp_path) == [b"album.jpg/a.png"]


def test_ten_thousand_files_are_walked_quickly(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / f"{folder:03}").mkdir()
        for number in range(100):
            (tmp_path / f"{folder:03}" / f"{number:03}.jpg").touch()

    began = time.process_time()
    count = sum(1 for _ in walk(tmp_path))

    assert count == 10_000
    assert time.process_time() - began < 0.6  # usually 0.1


def test_one_glob_may_be_given_alone(tmp_path: Path) -> None:
    touch(tmp_path, "private/x.jpg", "a/y.jpg")

    assert keys(tmp_path, exclude="private") == [b"a/y.jpg"]

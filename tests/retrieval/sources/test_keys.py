from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.generation.row_files.key_table import KeyTable
from retrieval.errors import OptionError
from retrieval.sources import keys


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("*.jpg", "a/b/c.jpg", True),
        ("*.jpg", "a/b.jpg/c.png", False),
        ("a/*.jpg", "a/b.jpg", True),
        ("a/*.jpg", "a/b/c.jpg", False),
        ("a/**/c.jpg", "a/c.jpg", True),
        ("a/**/c.jpg", "a/x/y/c.jpg", True),
        ("a/**", "a/x/y.png", True),
        ("a/**", "b/x.png", False),
        ("?.jpg", "x.jpg", True),
        ("?.jpg", "xy.jpg", False),
        ("[ab].jpg", "b.jpg", True),
        ("[!ab].jpg", "b.jpg", False),
        ("a+b.jpg", "a+b.jpg", True),
        ("a+b.jpg", "aab.jpg", False),
        ("new\nline.jpg", "new\nline.jpg", True),
    ],
)
def test_globs(glob: str, path: str, matches: bool) -> None:
    assert bool(keys.glob_pattern(glob).match(path)) == matches


def test_a_stamp_holds_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    status = path.stat()

    assert keys.stamp_of(path) == keys.stamp(size=5, mtime_ns=status.st_mtime_ns)
    assert keys.size_of(keys.stamp_of(path)) == 5
    assert keys.stamp_of(tmp_path / "missing") == b""


@pytest.mark.parametrize(
    "time",
    [
        0,
        -1,
        5,
        -(10**18),
        10**19,
        -(10**19),
        10_000_000_000 * 10**9,
        (1 << 63) - 1,
        1 << 63,
        -(1 << 63) - 1,
        1 << 80,
    ],
)
def test_a_stamp_holds_any_time_apart(time: int) -> None:
    packed = keys.stamp(size=7, mtime_ns=time)

    assert (keys.size_of(packed), keys.mtime_of(packed)) == (7, time)
    assert len(packed) <= 64
    assert packed not in (
        keys.stamp(size=7, mtime_ns=time + 1),
        keys.stamp(size=7, mtime_ns=time + (1 << 64)),
    )


def test_a_stamp_of_a_usual_time_is_what_the_first_versions_wrote() -> None:
    assert keys.stamp(size=5, mtime_ns=-3) == struct.pack("<Qq", 5, -3)


def test_a_key_is_the_path_below_the_root(tmp_path: Path) -> None:
    assert keys.key_of(tmp_path / "a" / "b.png", tmp_path) == b"a/b.png"
    assert keys.key_of(tmp_path.parent / "b.png", tmp_path) is None
    assert keys.key_of(f"{tmp_path}-else/b.png", tmp_path) is None


def test_a_key_keeps_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")

    assert keys.key_of(tmp_path / name, tmp_path) == b"\xff.png"


def test_a_filter_folder_is_relative_to_the_root_or_a_real_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(root / "a")

    assert keys.relative("a/b/", root) == "a/b"
    assert keys.relative(root / "a", root) == "a"
    assert keys.relative("b", root) == "a/b"
    assert keys.relative(root, root) == ""
    assert keys.relative(".", root) == ""
    with pytest.raises(OptionError, match="outside"):
        keys.relative(tmp_path, root)


def test_filters_keep_what_lies_below_and_matches() -> None:
    paths = ["a/x.jpg", "a/y.png", "ab/z.jpg", "x.jpg"]
    table = KeyTable.of(path.encode() for path in paths for _ in range(2))
    filters = keys.PathFilter(table, live=np.arange(8) % 2 == 0)

    def kept(**options: str | None) -> list[str]:
        keep = filters.keep(**{"under": None, "glob": None} | options)
        assert keep.shape == (8,)
        return [paths[number // 2] for number in keep.nonzero()[0]]

    assert kept(under="a") == ["a/x.jpg", "a/y.png"]
    assert kept(glob="*.jpg") == ["a/x.jpg", "ab/z.jpg", "x.jpg"]
    assert kept(under="a", glob="*.jpg") == ["a/x.jpg"]
    assert kept(under="") == paths


@pytest.mark.parametrize("under", ["..", "../x", "a/../../x"])
def test_a_filter_folder_above_the_root_is_refused(tmp_path: Path, under: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "root" / "a").mkdir(parents=True)

    with pytest.raises(OptionError, match="outside"):
        keys.relative(under, tmp_path / "root")


def test_a_filter_folder_with_an_endless_name_finds_nothing(tmp_path: Path) -> None:
    assert keys.relative("x" * 5000, tmp_path) == "x" * 5000


def test_a_glob_with_a_slash_in_front_matches_at_the_root() -> None:
    filters = keys.PathFilter(KeyTable.of([b"x.jpg", b"a/x.jpg"]))

    assert filters.keep(under=None, glob="/x.jpg").tolist() == [True, False]
    assert filters.keep(under=None, glob="/a/*.jpg").tolist() == [False, True]


NAMES = st.text(alphabet="ab/.", min_size=1, max_size=24)
GLOBS = st.lists(
    st.sampled_from(["a", "b", "/", ".", "*", "**", "**/", "?", "[ab]", "a/b", "ba.ab.ab"]), min_size=1
)


@given(
    paths=st.lists(NAMES, max_size=30), under=st.one_of(st.none(), NAMES), parts=st.one_of(st.none(), GLOBS)
)
def test_a_filter_is_what_its_pattern_and_its_folder_say(
    paths: list[str], under: str | None, parts: list[str] | None
) -> None:
    glob = None if parts is None else "".join(parts)
    keep = keys.PathFilter(KeyTable.of(path.encode() for path in paths)).keep(under=under, glob=glob)

    match = None if glob is None else keys.glob_pattern(glob).match
    top = "/" if glob is not None and glob.startswith("/") else ""
    expected = [
        (under is None or path.startswith(f"{under}/")) and (match is None or match(top + path) is not None)
        for path in paths
    ]

    assert keep.tolist() == expected

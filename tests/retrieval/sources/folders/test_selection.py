"""Selecting: system folders are left out unless they are included, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.sources import Found, Seen
from retrieval.sources.folders.folder_walk import walk
from retrieval.sources.folders.selection import SKIPPED_FOLDERS, Selection
from tests.retrieval.sources.folders.test_folder_walk import touch

SYSTEM = [
    "@Recycle", ".@__thumb", "#snapshot", "#recycle", ".Trash-1000", ".Trash-501", ".Trash", "@eaDir", "$RECYCLE.BIN",
    "$Recycle.Bin", ".stversions", "System Volume Information", "SYSTEM VOLUME INFORMATION", ".zfs/snapshot", ".snapshot",
    ".snapshots", "lost+found", "__MACOSX", ".thumbnails", ".cache", ".local/share/Trash", "RECYCLER", "@EADIR",
]  # fmt: skip


def found(root: Path, **options: object) -> list[str]:
    return [entry.key.decode() for entry in walk(root, **options) if isinstance(entry, Found)]


@pytest.mark.parametrize("folder", SYSTEM)
@pytest.mark.parametrize("above", ["", "deep/er/"])
def test_system_folders_are_left_out_counted_and_brought_back(
    tmp_path: Path, folder: str, above: str
) -> None:
    touch(tmp_path, f"{above}{folder}/in/a.jpg", "b.jpg", f"{above}c/d.jpg")
    seen = Seen()

    assert found(tmp_path, seen=seen) == sorted(["b.jpg", f"{above}c/d.jpg"])
    assert seen.left_out == {folder: 1}
    for glob in (folder, f"{folder}/", f"/{above}{folder}", f"{above}{folder}/**"):
        if "/" in folder.rstrip("/") and above and not glob.startswith(("/", above)):
            continue  # a glob with a slash begins at the root
        assert f"{above}{folder}/in/a.jpg" in found(tmp_path, include=[glob]), glob


def test_include_is_no_whitelist_and_exclude_wins(tmp_path: Path) -> None:
    touch(tmp_path, "@eaDir/a.jpg", "@eaDir/b/c.png", "x.jpg", "y/z.png")

    assert found(tmp_path, include=["@eaDir"]) == ["@eaDir/a.jpg", "@eaDir/b/c.png", "x.jpg", "y/z.png"]
    assert found(tmp_path, include=["@eaDir"], exclude=["@eaDir"]) == ["x.jpg", "y/z.png"]
    assert found(tmp_path, include=["@eaDir"], exclude=["*.png"]) == ["@eaDir/a.jpg", "x.jpg"]
    assert found(tmp_path, include=["*.png"]) == ["x.jpg", "y/z.png"]


def test_a_part_of_a_system_folder_is_brought_back_alone(tmp_path: Path) -> None:
    touch(
        tmp_path,
        ".cache/shotwell/thumbs/a.jpg",
        ".cache/firefox/b.jpg",
        ".cache/c.jpg",
        ".cache/shotwell/d.jpg",
    )

    assert found(tmp_path, include=[".cache/shotwell"]) == [
        ".cache/shotwell/d.jpg",
        ".cache/shotwell/thumbs/a.jpg",
    ]
    assert found(tmp_path, include=[".cache/*.jpg"]) == [".cache/c.jpg"]
    assert found(tmp_path, include=["**/.cache/firefox"]) == [".cache/firefox/b.jpg"]


def test_a_collection_is_never_walked(tmp_path: Path) -> None:
    touch(tmp_path, ".retrieve/a.jpg", "deep/.retrieve/b.jpg", "c.jpg")
    seen = Seen()

    assert found(tmp_path, include=["*", "**", ".retrieve"], seen=seen) == ["c.jpg"]
    assert not seen.left_out


def test_names_like_those_of_system_folders_are_walked(tmp_path: Path) -> None:
    names = [
        "Recycle/a.jpg",
        "snapshot/b.jpg",
        "my @eaDir/c.jpg",
        ".zfs/d.jpg",
        "Trash/e.jpg",
        ".Trashes.d/f.jpg",
    ]
    touch(tmp_path, *names)

    assert found(tmp_path) == sorted(names)


def test_globs_without_names_are_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")

    assert found(tmp_path, exclude=["", "/"], include=[""]) == ["a.jpg"]


def test_it_says_why_a_path_is_hidden() -> None:
    selection = Selection(exclude=["*.gif", "b"], include=["@eaDir"])

    assert selection.hides("a/x.gif") == '`exclude="*.gif"`'
    assert selection.hides("b/c/x.jpg") == '`exclude="b"`'
    assert selection.hides("a/#recycle/x.jpg") == "#recycle"
    assert selection.hides("a/@eaDir/x.jpg") is None
    assert selection.hides("a/x.jpg") is None
    assert Selection().hides(".zfs/snapshot/x.jpg") == ".zfs/snapshot"
    assert len({name.casefold() for name in SKIPPED_FOLDERS}) == len(SKIPPED_FOLDERS)

"""Files that are moved are all there, come back as they were, and never take another's place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile

import pytest
from PIL import Image

import retrieval
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder
from tests.command_line import command
from tests.retrieval.promises.copies.photographs import (
    NAMES,
    ODD,
    build,
    contents,
    names,
    state,
)


def test_moved_files_are_all_there_and_come_back_as_they_were(own, tmp_path):
    before, everything = state(own), contents(own)
    report = retrieval.duplicates(own).move_to(tmp_path / "doubles")
    assert len(report.moved) == 4
    assert not report.left
    assert contents(own, tmp_path / "doubles") == everything
    assert len(contents(own)) == 5

    back = retrieval.undo_moves(tmp_path / "doubles")
    assert len(back.moved) == 4
    assert state(own) == before
    assert not retrieval.undo_moves(report.undo).left
    assert state(own) == before


def test_a_file_that_lies_where_one_would_move_is_not_overwritten(own, tmp_path):
    going = [image.path for image in retrieval.duplicates(own).going]
    for path in going:
        (tmp_path / "doubles" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "doubles" / path).write_text(f"mine: {path}")
    everything = contents(own, tmp_path / "doubles")
    retrieval.duplicates(own).move_to(tmp_path / "doubles")

    assert contents(own, tmp_path / "doubles") == everything
    assert [(tmp_path / "doubles" / path).read_text() for path in going] == [
        f"mine: {path}" for path in going
    ]


def test_a_file_that_came_to_the_old_place_is_not_overwritten_by_undo(own, tmp_path):
    report = retrieval.duplicates(own).move_to(tmp_path / "doubles")
    gone = min({f"sub/{n}.jpg" for n in range(4)} - set(state(own)))
    (own / gone).write_text("newer")
    back = retrieval.undo_moves(report.undo)

    assert (own / gone).read_text() == "newer"
    assert len(back.left) == 1
    assert len(contents(own, tmp_path / "doubles")) == 6


def test_a_file_that_changed_since_the_build_stays_and_is_named(own, tmp_path):
    sets = retrieval.duplicates(own)
    changed = sets.going[0].path
    (own / changed).write_bytes((own / "alone.jpg").read_bytes())
    report = sets.move_to(tmp_path / "doubles")

    assert len(report.moved) == 3
    assert [path for path, _ in report.left] == [os.fspath(own / changed)]
    assert (own / changed).exists()


def test_a_double_stays_while_the_one_that_should_stay_is_away(own, tmp_path):
    sets = retrieval.duplicates(own)
    (own / sets[0].stays.path).unlink()
    report = sets.move_to(tmp_path / "doubles")

    assert len(report.moved) == 3
    assert len(report.left) == 1
    assert len(contents(own, tmp_path / "doubles")) == 5


def test_the_next_build_takes_what_was_moved_for_moved(tmp_path, messy):
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(15):
        for copy in range(3):
            Image.new("RGB", (40, 40), (number * 16, 80, 255 - number * 16)).save(
                root / f"{number}-{copy}.png"
            )
    build(root)
    report = retrieval.duplicates(root, kinds=["bytes"]).move_to(tmp_path / "doubles")
    assert len(report.moved) == 30
    assert build(root).images == 15
    retrieval.undo_moves(tmp_path / "doubles")

    assert build(root).images == 45


KILLED = """
import os, signal, sys, threading, time
import retrieval
def watch():
    while True:
        moved = sum(len(files) for _, _, files in os.walk(sys.argv[2]))
        if moved >= 8:
            os.kill(os.getpid(), signal.SIGKILL)
sets = retrieval.duplicates(sys.argv[1], kinds=["bytes"])
threading.Thread(target=watch, daemon=True).start()
sets.move_to(sys.argv[2])
time.sleep(5)
"""


@pytest.mark.parametrize("then", ["continued", "undone"])
def test_a_killed_move_is_continued_or_undone(tmp_path, then):
    root, doubles = tmp_path / "photos", tmp_path / "doubles"
    root.mkdir()
    for number in range(30):
        for copy in range(3):
            Image.new("RGB", (24, 24), (number * 8, 80, 255 - number * 8)).save(root / f"{number}-{copy}.png")
    build(root, encoder=FakeEncoder())
    before, everything = state(root), contents(root)
    subprocess.run(
        [sys.executable, "-c", KILLED, root, doubles], capture_output=True, timeout=120, check=False
    )
    assert contents(root, doubles).keys() == everything.keys()
    assert all(count >= everything[content] for content, count in contents(root, doubles).items()), (
        "one may have both names"
    )
    if then == "undone":
        retrieval.undo_moves(doubles)
        assert state(root) == before
    else:
        build(root, encoder=FakeEncoder())
        retrieval.duplicates(root, kinds=["bytes"]).move_to(doubles)
        assert contents(root, doubles) == everything
        assert len(state(root)) == 30
        retrieval.undo_moves(doubles)
        assert state(root) == before


def test_odd_names_are_printed_raw_moved_and_brought_back(tmp_path, messy):
    root = tmp_path / "photos"
    (root / "copies").mkdir(parents=True)
    for name, photo in zip(ODD, NAMES, strict=False):
        shutil.copy2(messy / f"{photo}.jpg", root / "copies" / name)
        shutil.copy2(messy / f"{photo}.jpg", root / f"{photo}.jpg")
    build(root)
    before = state(root)
    printed = command("duplicates", "--index", root, "-0", "--reference", root, cwd=tmp_path, text=False)
    assert (printed.returncode, printed.stdout) == (0, b"")
    moved = command(
        "duplicates",
        "--index",
        root,
        "-0",
        "--keep",
        "first",
        "--move-to",
        "doubles",
        cwd=tmp_path,
        text=False,
    )
    assert moved.returncode == 0, moved.stderr
    paths = [os.fsdecode(path) for path in moved.stdout.split(b"\0")[:-1]]
    assert len(paths) == len(ODD)
    assert set(before) - set(state(root)) == set(paths)
    assert b"undo" in moved.stderr
    undone = command("duplicates", "--undo", "doubles", cwd=tmp_path)
    assert undone.returncode == 0, undone.stderr

    assert state(root) == before


def test_links_to_the_sets_are_links_and_change_nothing(messy, tmp_path, found):
    before = state(messy)
    links = found.link_to(tmp_path / "look")

    assert state(messy) == before
    assert len(links) == sum(len(one) for one in found)
    assert all(link.is_symlink() and link.exists() for link in links)


def test_images_of_an_archive_are_listed_and_not_moved(tmp_path, messy):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for name in ("camera.jpg", "camera again.jpg", "coins.jpg"):
            archive.add(messy / name, name)
    retrieval.build_index(tmp_path / "photos.tar", index=tmp_path / "index", progress=False)
    sets = retrieval.duplicates(tmp_path / "index")
    assert [kind for kind, _ in names(sets)] == ["bytes"]

    with pytest.raises(OptionError, match=r"photos\.tar"):
        sets.move_to(tmp_path / "doubles")
    refused = command("duplicates", "--index", "index", "--move-to", "doubles", cwd=tmp_path)
    assert refused.returncode in (1, 2)
    assert "photos.tar" in refused.stderr
    assert "Traceback" not in refused.stderr

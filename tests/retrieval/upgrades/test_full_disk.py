"""An upgrade on a disk that gets full: one line, the gallery answers as before, and the same command goes on when there is room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import retrieval
from retrieval.cli import main
from tests.retrieval.folders import picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, check_all_new
from tests.small_disk import small_disk


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path, "8m") as disk:
        yield disk


def leave(disk: Path, free: int) -> Path:
    """Fill a disk up to so many bytes."""
    filling = disk / "filling"
    filling.write_bytes(b"\1" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - free))
    return filling


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that finds the disk full, and return the line that says so."""
    assert main([*words, "--quiet"]) == 1
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert "this is a bug" not in errors[0]
    assert "space" in errors[0] or "MiB are free" in errors[0]
    return errors[0]


def answers(photos: Path) -> None:
    with retrieval.open(photos) as collection:
        assert len(collection) == COUNT
        assert collection.search(picture(3), k=1)[0].path == NAMES[3]


@pytest.mark.parametrize("free", [0, 16 << 10, 128 << 10])
def test_a_trial_on_a_full_disk(built, disk, capsys, free):
    photos = Path(shutil.copytree(built, disk / "photos"))
    filling = leave(disk, free)
    words = ["upgrade", "--index", str(photos), "--encoder", "drift:new"]

    refused(words, capsys)
    answers(photos)
    with retrieval.open(photos) as collection:
        assert not collection.manifest.upgrades

    filling.unlink()
    assert main([*words, "--quiet"]) == 0
    answers(photos)


@pytest.mark.parametrize("free", [0, 16 << 10, 128 << 10])
def test_a_backfill_on_a_full_disk(begun, disk, capsys, free):
    photos = Path(shutil.copytree(begun, disk / "photos"))
    filling = leave(disk, free)
    words = ["upgrade", "backfill", "all", "--index", str(photos)]

    refused(words, capsys)
    answers(photos)

    filling.unlink()
    assert main([*words, "--quiet"]) == 0
    check_all_new(photos)

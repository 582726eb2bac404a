"""``retrieve map``: the files that it writes, what it says, and that it asks for a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("openTSNE", reason="the extra map is not installed")


@pytest.fixture
def at(photos: Path, run):
    return lambda *arguments: run("map", "--index", photos, *arguments)


def test_a_page_and_a_table_are_written(tmp_path: Path, at) -> None:
    status, out, err = at("--html", tmp_path / "map.html", "--parquet", tmp_path / "map.parquet", "--json")

    assert status == 0
    facts = json.loads(out)
    assert (facts["images"], facts["shown"]) == (28, 28)
    assert f"wrote {tmp_path / 'map.html'} (" in err
    assert f"wrote {tmp_path / 'map.parquet'}" in err
    assert "28 images" in err
    assert (tmp_path / "map.html").read_bytes().startswith(b"<!doctype html>")
    assert (tmp_path / "map.parquet").read_bytes().startswith(b"PAR1")


def test_pictures_that_are_gone_are_told(photos: Path, tmp_path: Path, at) -> None:
    gone = sorted(path for path in photos.rglob("*.png"))[:2]
    for path in gone:
        path.unlink()

    status, _, err = at("--html", tmp_path / "map.html")

    assert status == 0
    assert "no picture of 2 images that cannot be read (2 vanished), such as " in err


def test_nothing_to_write_is_refused(at) -> None:
    status, out, err = at()

    assert (status, out) == (2, b"")
    assert "give --html FILE or --parquet FILE" in err

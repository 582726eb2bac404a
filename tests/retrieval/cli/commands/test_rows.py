"""Rows are added and deleted from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from indexes.store import WriterLock


@pytest.fixture
def home(run, tmp_path: Path) -> Path:
    """Make a collection of four rows, and files of three more in ``tmp_path``: v.npy, k.txt."""
    rows = np.eye(8, dtype=np.float32)
    np.save(tmp_path / "first.npy", rows[:4])
    (tmp_path / "first.txt").write_text("a\nb\nc\nd\n")
    np.save(tmp_path / "v.npy", rows[4:7])
    (tmp_path / "k.txt").write_text("d\ne\nf\n")
    home = tmp_path / "home"
    files = ("--vectors", tmp_path / "first.npy", "--keys", tmp_path / "first.txt")
    status, out, _ = run("build-index", home, *files, "--json")
    assert (status, json.loads(out)["added"]) == (0, 4)
    return home


def keys(run, home: Path) -> list[str]:
    status, _, _ = run("export", "--index", home, "--vectors", home / "o.npy", "--keys", home / "o.txt")
    assert status == 0
    return (home / "o.txt").read_text().split()


def test_a_taken_key_is_an_error_that_names_the_option(run, home: Path, tmp_path: Path) -> None:
    files = ("--vectors", tmp_path / "v.npy", "--keys", tmp_path / "k.txt", "--index", home)

    status, out, err = run("add", *files)

    assert (status, out) == (1, b"")
    assert "key 1 ('d') is taken by row 3" in err
    assert "`retrieve add --upsert`" in err
    assert keys(run, home) == ["a", "b", "c", "d"]

    status, out, _ = run("add", *files, "--upsert", "--json")

    assert status == 0
    facts = json.loads(out)
    assert facts.pop("index") == str(home / ".retrieve")
    assert facts == {"rows": 6, "added": 2, "updated": 1, "unchanged": 0}
    assert keys(run, home) == ["a", "b", "c", "d", "e", "f"]


def test_without_keys_ids_are_keys(run, home: Path, tmp_path: Path) -> None:
    status, out, _ = run("add", "--vectors", tmp_path / "v.npy", "--index", home)

    assert status == 0
    assert b"3 added" in out
    assert keys(run, home) == ["a", "b", "c", "d", "4", "5", "6"]


def test_rows_are_deleted_by_keys_or_ids(run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("a\nc\n")

    status, out, _ = run("delete", "--keys", tmp_path / "old.txt", "--index", home, "--json")
    assert (status, json.loads(out)["deleted"], json.loads(out)["rows"]) == (0, 2, 2)
    status, out, _ = run("delete", "--ids", "1", "--index", home)
    assert (status, b"1 deleted" in out) == (0, True)
    assert keys(run, home) == ["d"]

    status, out, err = run("delete", "--ids", "3,1", "--index", home)
    assert (status, out) == (1, b"")
    assert "row 1 ('b') was deleted or replaced" in err
    assert keys(run, home) == ["d"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add"], "--vectors"),
        (["add", "--vectors", "v.npy", "--upsert"], "--keys"),
        (["delete"], "--keys, --ids or --where"),
        (["delete", "--keys", "k", "--ids", "1"], "--keys, --ids or --where"),
        (["delete", "--ids", "one"], "one"),
    ],
)
def test_wrong_usage_is_2(run, arguments: list[str], words: str) -> None:
    status, _, err = run(*arguments)

    assert status == 2
    assert words in err


def test_a_locked_collection_is_named_with_the_process(run, home: Path, tmp_path: Path) -> None:
    with WriterLock(home / ".retrieve"):
        status, _, err = run("delete", "--ids", "1", "--index", home, "--timeout", "0")

    assert status == 1
    assert "this process is writing to this collection" in err

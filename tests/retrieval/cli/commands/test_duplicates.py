"""``retrieve duplicates``: what it prints, that it changes nothing unasked, moves and undoes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

import retrieval
from retrieval.cli.reports.curation.duplicates import SETS_ON_TERMINAL, duplicate_sets


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.png")
        if ".retrieve" not in path.parts
    }


@pytest.fixture
def at(photos: Path, run):
    return lambda *arguments: run("duplicates", "--index", photos, "--kind", "bytes", *arguments)


def test_the_sets_are_printed_and_nothing_changes(photos: Path, at) -> None:
    before = files(photos)

    status, out, err = at()

    assert status == 0
    assert out.decode().splitlines() == [
        "1. same bytes, 3 images",
        f"{'   keep':<21}plain/00.png",
        f"{'':<21}not named a copy",
        f"{'   go':<21}copy one.png",
        f"{'   go':<21}plain/copy two.png",
    ]
    assert "1 set: 1 of the same bytes; 2 of 28 images could go" in err
    assert "nothing was changed" in err
    assert files(photos) == before


def test_a_terminal_shows_the_first_sets_and_a_pipe_all(photos: Path) -> None:
    found = retrieval.duplicates(photos, kinds=("bytes",))
    many = replace(found, sets=(replace(found.sets[0], images=found.sets[0].images * 5), *found.sets * 24))

    shown = duplicate_sets(many, columns=80).splitlines()
    piped = duplicate_sets(many, columns=0).splitlines()

    headings = [line for line in shown if line.endswith(" images")]
    assert len(headings) == SETS_ON_TERMINAL == 20
    assert "   and 5 more" in shown  # images of the first set
    assert shown[-1] == "and 5 more sets: --html FILE shows all side by side, --csv prints all"
    assert len([line for line in piped if line.endswith(" images")]) == 25
    assert not any(" more" in line for line in piped)


def test_every_form_names_the_same_images(at) -> None:
    paths = ["copy one.png", "plain/copy two.png"]

    facts = json.loads(at("--json")[1])
    rows = list(csv.DictReader(io.StringIO(at("--csv")[1].decode())))

    assert [image["path"] for image in facts["sets"][0]["images"] if not image["keep"]] == paths
    assert [row["path"] for row in rows if row["keep"] == "no"] == paths
    assert at("-f")[1].decode().split("\n") == [*paths, ""]
    assert at("-0")[1].decode().split("\0") == [*paths, ""]


def test_a_page_and_links(tmp_path: Path, at) -> None:
    status, _, err = at("--html", tmp_path / "review.html", "--link-to", tmp_path / "links")

    assert status == 0
    assert f"wrote {tmp_path / 'review.html'}" in err
    assert sorted(path.name for path in (tmp_path / "links" / "0001").iterdir()) == [
        "copy one.png",
        "copy two.png",
        "keep-00.png",
    ]


def test_a_move_and_its_undo(photos: Path, tmp_path: Path, run, at) -> None:
    before = files(photos)

    status, _, err = at("--move-to", tmp_path / "away")

    assert status == 0
    assert "2 files moved" in err
    assert f"--undo {tmp_path / 'away' / 'undo-moves.jsonl'}" in err
    assert sorted(files(tmp_path / "away")) == ["copy one.png", "plain/copy two.png"]
    assert run("duplicates", "--undo", tmp_path / "away")[0] == 0
    assert files(photos) == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--csv", "-f"], 2, "exclude each other"),
        (["--link-to", "a", "--move-to", "b"], 2, "exclude each other"),
        (["--keep", "prettiest"], 1, "choose one of best"),
        (["--ignore", "/nowhere.json"], 1, "cannot be read"),
        (["--undo", "/nowhere"], 1, "there is no undo file"),
    ],
)
def test_mistakes_are_told(at, arguments: list[str], status: int, message: str) -> None:
    ended, _, err = at(*arguments)

    assert ended == status
    assert message in err

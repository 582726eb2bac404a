"""``retrieve classify``: guesses, doubts, pages, and ``retrieve query --like``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}
EACH = 6


@pytest.fixture
def coloured(tmp_path: Path, run) -> Path:
    """Six reddish and six bluish pictures, ``00-red.png`` and so on, indexed."""
    folder = tmp_path / "coloured"
    folder.mkdir()
    for number in range(2 * EACH):
        name = list(COLOURS)[number % 2]
        noise = np.random.default_rng(number).integers(-25, 25, (8, 8, 3))
        pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(folder / f"{number:02}-{name}.png")
    assert run("build-index", folder, "--encoder", "fake", "--quiet")[0] == 0
    return folder


def written(path: Path, labels: dict[str, str]) -> Path:
    path.write_text("file,label\n" + "".join(f"{file},{label}\n" for file, label in labels.items()))
    return path


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return written(
        tmp_path / "few.csv",
        {"00-red.png": "red", "02-red.png": "red", "01-blue.png": "blue", "03-blue.png": "blue"},
    )


@pytest.fixture
def every(tmp_path: Path) -> Path:
    """All labels; that of ``04-red.png`` is wrong."""
    names = {f"{n:02}-{c}.png": c for n, c in enumerate(list(COLOURS) * EACH)}
    return written(tmp_path / "every.csv", names | {"04-red.png": "blue"})


def test_every_form_says_the_same(coloured: Path, few: Path, run) -> None:
    at = ("classify", "--index", coloured, "--labels", few, "--least", "0")

    status, out, err = run(*at)
    facts = json.loads(run(*at, "--json")[1])
    rows = list(csv.DictReader(io.StringIO(run(*at, "--csv")[1].decode())))

    assert status == 0
    lines = [line.split("\t") for line in out.decode().splitlines()]
    assert (
        [line[2] for line in lines]
        == [one["path"] for one in facts["images"]]
        == [row["file"] for row in rows]
    )
    assert all(one["best"] in one["path"] for one in facts["images"])
    assert [row["label"] for row in rows] == [one["label"] or "" for one in facts["images"]]
    assert f"{facts['guessed']} of 8 images got a label" in err
    assert "of 4 labelled images, each left out once, 100% were guessed right" in err


def test_a_wrong_label_is_listed_first(coloured: Path, every: Path, run) -> None:
    status, out, err = run("classify", "--suspect", "--index", coloured, "--labels", every)

    assert status == 0
    assert out.decode().splitlines()[0].split("\t")[1:] == ["blue", "red", "04-red.png"]
    assert "of 12 labels are doubtful" in err


def test_labelled_files_that_are_not_there_are_named(coloured: Path, few: Path, tmp_path: Path, run) -> None:
    elsewhere = written(
        tmp_path / "elsewhere.csv", {"photos/00-red.png": "red", "photos/01-blue.png": "blue"}
    )
    few.write_text(few.read_text() + "photos/04-red.png,red\n")

    some = run("classify", "--index", coloured, "--labels", few)[2]
    status, _, none = run("classify", "--index", coloured, "--labels", elsewhere)

    assert "1 listed file is not in the collection, first photos/04-red.png: paths are relative" in some
    assert status == 1
    assert f"gives no image of {coloured} a label; there is no photos/00-red.png there" in none


def test_pages_show_the_images(coloured: Path, few: Path, every: Path, tmp_path: Path, run) -> None:
    guessed, doubted = tmp_path / "guessed.html", tmp_path / "doubted.html"

    run("classify", "--index", coloured, "--labels", few, "--least", "0", "--html", guessed)
    _, _, err = run("classify", "--suspect", "--index", coloured, "--labels", every, "--html", doubted)

    assert f"wrote {doubted}" in err
    page = doubted.read_text()
    assert page.index("04-red.png") < page.index("</section>")
    assert page.count("<img") >= 6  # the doubted one and five voters
    assert 'href="coloured/04-red.png"' in page
    assert guessed.read_text().count("<img") == 8
    assert "<script" not in page


def test_examples_are_a_query(coloured: Path, run) -> None:
    found = ("query", "--index", coloured, "-f", "-k", "4", "--like", coloured / "00-red.png")

    hits = (
        run(*found, "--like", coloured / "02-red.png", "--unlike", coloured / "01-blue.png")[1]
        .decode()
        .split()
    )

    assert sorted(hits) == ["04-red.png", "06-red.png", "08-red.png", "10-red.png"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["classify"], 2, "--labels CSV or --column NAME"),
        (["classify", "--labels", "a.csv", "--column", "b"], 2, "one of both"),
        (["classify", "--labels", "a.csv", "--csv", "--json"], 2, "exclude each other"),
        (["query", "--unlike", "cat"], 2, "--unlike goes with --like"),
    ],
)
def test_mistakes_are_told(run, arguments: list[str], status: int, message: str) -> None:
    ended, _, err = run(*arguments)

    assert ended == status
    assert message in err


def test_the_library_names_the_option(coloured: Path, run) -> None:
    status, _, err = run("classify", "--index", coloured, "--column", "width", "--least", "2")

    assert status == 1
    assert "--least is 2" in err

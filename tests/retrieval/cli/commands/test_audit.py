"""``retrieve audit``: lines, JSON, CSV, the page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.retrieval.curation.audit.conftest import troubled  # noqa: F401 - a fixture


@pytest.fixture
def folder(troubled: Path, run) -> Path:  # noqa: F811 - the fixture
    assert run("build-index", troubled, "--encoder", "fake", "--quiet")[0] == 0
    return troubled


def test_every_form_says_the_same(folder: Path, run) -> None:
    status, out, err = run("audit", "--index", folder)
    facts = json.loads(run("audit", "--index", folder, "--json")[1])
    rows = list(csv.DictReader(io.StringIO(run("audit", "--index", folder, "--csv")[1].decode())))

    lines = {line.split("\t")[2]: line.split("\t") for line in out.decode().splitlines()}
    assert status == 0
    assert lines["dark"] == ["1", "5.3%", "dark", "dark.png"]
    assert {one["name"]: one["count"] for one in facts["issues"]} == {
        name: int(line[0]) for name, line in lines.items()
    }
    assert [(row["issue"], row["file"]) for row in rows] == [
        (issue["name"], image["path"]) for issue in facts["issues"] for image in issue["images"]
    ]
    assert "hubness" not in err  # too few images


def test_the_page_shows_each_issue_and_nothing_runs(folder: Path, tmp_path: Path, run) -> None:
    page = tmp_path / "audit.html"
    (folder / "x<b>.png").write_bytes((folder / "dark.png").read_bytes())
    run("build-index", folder, "--quiet")

    status, _, err = run("audit", "--index", folder, "--html", page)

    text = page.read_text()
    assert status == 0
    assert f"wrote {page}" in err
    assert 'id="dark"' in text
    assert 'href="troubled/dark.png"' in text
    assert "x&lt;b&gt;.png" in text
    assert "x<b>" not in text
    assert "<script" not in text


def test_sets_of_words_and_folders_are_compared(folder: Path, run) -> None:
    sets = ("--targets", "man, boy", "woman, girl", "--attributes", "office, work", "home, family")

    status, out, err = run("audit", "--index", folder, "--checks", "pixels", "--json", *sets)

    bias = json.loads(out)["association"]
    assert status == 0
    assert bias["sizes"] == [2, 2, 2, 2]
    assert 0 <= bias["p"] <= 1
    assert "association: man, boy against woman, girl" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit", "--targets", "a", "b"], "go together"),
        (["audit", "--csv", "--json"], "exclude each other"),
    ],
)
def test_mistakes_are_told(run, arguments: list[str], message: str) -> None:
    status, _, err = run(*arguments)

    assert status == 2
    assert message in err


def test_a_wrong_check_is_named(folder: Path, run) -> None:
    status, _, err = run("audit", "--index", folder, "--checks", "colour")

    assert status == 1
    assert "--checks" in err

"""``retrieve representatives`` and ``retrieve outliers``: what they print, in every form."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest


@pytest.fixture(params=["representatives", "outliers"])
def at(request, photos: Path, run):
    return lambda *arguments: run(
        request.param, "--index", photos, "-n", "4", "--glob", "plain/*", *arguments
    )


def test_every_form_names_the_same_images(at) -> None:
    status, out, err = at()
    lines = [line.split("\t")[1] for line in out.decode().splitlines()]

    assert status == 0
    assert len(lines) == 4
    assert err.startswith("4 ")
    assert [image["path"] for image in json.loads(at("--json")[1])["images"]] == lines
    assert [row["path"] for row in csv.DictReader(io.StringIO(at("--csv")[1].decode()))] == lines
    assert at("-f")[1].decode().splitlines() == lines
    assert at("-0")[1].decode().split("\0") == [*lines, ""]


def test_a_page_is_written(tmp_path: Path, at) -> None:
    status, _, err = at("--html", tmp_path / "page.html")

    assert status == 0
    assert f"wrote {tmp_path / 'page.html'}" in err
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<li ") == 4


def test_two_forms_are_refused(at) -> None:
    status, _, err = at("--csv", "-f")

    assert status == 2
    assert "--csv and -f exclude each other" in err


def test_outliers_say_what_is_usual(photos: Path, run) -> None:
    err = run("outliers", "--index", photos, "-n", "4")[2]

    assert "far from usual" in err

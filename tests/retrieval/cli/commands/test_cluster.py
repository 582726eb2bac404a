"""``retrieve cluster``: what it prints, in every form, and that nothing is changed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from retrieval.cli.reports import group_notes
from retrieval.curation.groups import Groups


@pytest.fixture
def at(photos: Path, run):
    return lambda *arguments: run("cluster", "--index", photos, *arguments)


def test_groups_are_printed_with_what_stands_for_them(at) -> None:
    status, out, err = at("--n-groups", "2")

    lines = out.decode().splitlines()
    assert status == 0
    assert [line[:5] for line in lines if not line.startswith("     ")] == ["  1. ", "  2. "]
    assert "2 groups of 28 images, as many as were asked for" in err


def test_a_group_of_one_has_one_image(at) -> None:
    out = at("--n-groups", "28")[1].decode()

    assert ", 1 image\n" in out or ", 1 image  (" in out
    assert ", 1 images" not in out


def test_every_form_has_the_same_groups(at) -> None:
    facts = json.loads(at("--n-groups", "3", "--json")[1])
    rows = list(csv.DictReader(io.StringIO(at("--n-groups", "3", "--csv")[1].decode())))

    assert [group["size"] for group in facts["groups"]] == [
        sum(row["group"] == str(number) for row in rows) for number in (1, 2, 3)
    ]


def test_a_page_is_written(tmp_path: Path, at) -> None:
    status, _, err = at("--n-groups", "2", "--html", tmp_path / "groups.html")

    assert status == 0
    assert f"wrote {tmp_path / 'groups.html'}" in err
    assert "<h1>2 groups</h1>" in (tmp_path / "groups.html").read_text(encoding="utf-8")


def test_two_forms_are_refused(at) -> None:
    status, _, err = at("--csv", "--json")

    assert status == 2
    assert "--json and --csv exclude each other" in err


def test_more_groups_than_images_are_refused_by_name(at) -> None:
    status, out, err = at("--n-groups", "29")

    assert (status, out) == (1, b"")
    assert "29" in err
    assert "28 images" in err


def test_few_groups_of_many_images_are_followed_by_how_to_get_finer_ones() -> None:
    def notes(groups: int, images: int, *, estimated: bool) -> str:
        ids = np.arange(images)
        found = Groups(
            groups=(None,) * groups,  # type: ignore[arg-type]  # only counted
            ids=ids,
            labels=ids % groups + 1,
            scores=np.ones(images, np.float32),
            estimated=estimated,
        )
        return next(group_notes(found))

    assert notes(5, 345, estimated=True).endswith("; for finer ones: --n-groups 20")
    assert "finer" not in notes(5, 345, estimated=False)
    assert "finer" not in notes(25, 890, estimated=True)
    assert "finer" not in notes(5, 50, estimated=True)

"""``retrieve compare``: what it prints, and which collections it takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def older(photos: Path, tmp_path: Path, run) -> Path:
    """The same photographs by another encoder."""
    status, _, err = run("build-index", photos, "--index", tmp_path / "older", "--encoder", "nano@1")
    assert status == 0, err
    return tmp_path / "older"


def test_shared_neighbours_are_printed(photos: Path, older: Path, run) -> None:
    status, out, err = run("compare", photos, older)

    assert status == 0, err
    text = out.decode()
    assert "a           fake@1, 64 dimensions" in text
    assert "b           nano@1, 256 dimensions" in text
    assert "28, that both have" in text


def test_json_and_page_tell_the_same(photos: Path, older: Path, tmp_path: Path, run) -> None:
    page = tmp_path / "differences.html"
    status, out, err = run("compare", older, "--index", photos, "--json", "--html", page)

    facts = json.loads(out)
    assert status == 0
    assert (facts["a"], facts["b"], facts["images"], facts["encoded"]) == ("fake@1", "nano@1", 28, False)
    assert f"wrote {page}" in err
    assert "28 images" in page.read_text(encoding="utf-8")


def test_labels_are_measured(photos: Path, older: Path, tmp_path: Path, run) -> None:
    names = sorted(str(path.relative_to(photos)) for path in (photos / "plain").glob("*.png"))
    lines = [f"{name},{'even' if place % 2 else 'odd'}" for place, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]), encoding="utf-8")

    status, out, err = run("compare", photos, older, "--labels", tmp_path / "labels.csv")

    assert status == 0, err
    assert "kNN accuracy" in out.decode()
    assert "right by b alone" in err


def test_names_are_wanted_once(photos: Path, run) -> None:
    assert run("compare")[0] == 2
    assert run("compare", photos, "nano@1", "nano@2")[0] == 2
    status, _, err = run("compare", photos, "nano@1", "--index", photos)
    assert status == 2
    assert "name A once" in err


def test_a_folder_without_a_collection_is_an_error(photos: Path, tmp_path: Path, run) -> None:
    empty = tmp_path / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()

    status, _, err = run("compare", photos, empty)

    assert status == 1
    assert "no collection" in err


def test_a_collection_that_is_named_alone_wants_another_side(
    photos: Path, tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here in (tmp_path, photos):  # no other collection from here upwards, and the same one
        monkeypatch.chdir(here)

        status, _, err = run("compare", photos)

        assert status == 2
        assert "name B behind it" in err

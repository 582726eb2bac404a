"""Collections named by absolute paths where there is no working directory any more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from indexes.store import VectorStore
from retrieval.errors import CollectionNotFound, OptionError, StoreCorrupt
from retrieval.location import DELETED, home_of, inside, require_folder
from retrieval.testing import FakeEncoder

RUN = """
import os, sys
os.chdir(sys.argv[1])
os.rmdir(sys.argv[1])
from retrieval.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.effect_noise((16, 16), 40 + 10 * number).save(folder / f"{number}.png")
    retrieval.build_index(folder, encoder=FakeEncoder(dim=32))
    return folder


def run(tmp_path: Path, *arguments: object) -> tuple[int, str, str]:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUN, gone, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["query", "--id", "1"], ["info"], ["verify"]],
    ids=lambda arguments: arguments[0],
)
def test_absolute_paths_need_no_working_directory(tmp_path, photos, arguments):
    """At 460ecca ``info`` and ``build-index`` end with "No such file or directory"."""
    status, out, errors = run(tmp_path, *arguments, "--index", photos)

    assert (status, errors) == (0, "")
    assert out


@pytest.mark.parametrize(
    "arguments",
    [["query", "--id", "1"], ["info", "--index", "photos"], ["build-index", "."]],
    ids=lambda arguments: arguments[0],
)
def test_relative_paths_say_that_it_was_deleted(tmp_path, arguments):
    status, _, errors = run(tmp_path, *arguments)

    assert status == 1
    assert DELETED in errors
    assert errors.count("\n") == 1


def test_export_with_absolute_paths(tmp_path, photos):
    vectors, keys = tmp_path / "v.npy", tmp_path / "k.txt"
    assert run(tmp_path, "export", "--vectors", vectors, "--keys", keys, "--index", photos)[0] == 0
    assert keys.read_text().splitlines() == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("path", "folder", "found"),
    [
        ("home/a/b.png", "home", "a/b.png"),
        ("home", "home", "."),
        ("homely/a.png", "home", None),
        ("home/../other/a.png", "home", None),
        ("linked/a/b.png", "home", "a/b.png"),
        ("home/a/b.png", "linked", "a/b.png"),
        ("home/..a", "home", "..a"),
        ("a.png", "/", "ROOT/a.png"),
    ],
)
def test_a_path_lies_inside_a_folder_by_its_name_or_by_where_it_leads(tmp_path, path, folder, found):
    (tmp_path / "home" / "a").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "home")
    expected = found and found.replace("ROOT", str(tmp_path)[1:])

    assert inside(tmp_path / path, tmp_path / folder) == expected


def test_a_list_of_files_is_no_folder():
    with pytest.raises(OptionError, match="list is no folder; give the path of one folder"):
        require_folder(["a.jpg"])


def test_the_directory_of_a_collection_names_the_folder_around_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert home_of("photos/.retrieve") == home_of("photos") == home_of(tmp_path / "photos")


def test_a_folder_of_too_long_a_name_does_not_exist(tmp_path):
    with pytest.raises(OptionError, match="does not exist"):
        require_folder(tmp_path / ("x" * 300))


def test_vectors_without_a_manifest_are_named_and_an_empty_store_is_none(tmp_path):
    retrieval.sync_vectors(tmp_path / "lost", np.eye(8), list("abcdefgh"), space="made", progress=False)
    (tmp_path / "lost/.retrieve/manifest.json").unlink()
    for place in ("lost", "lost/.retrieve"):
        with pytest.raises(CollectionNotFound, match=r"holds 8 vectors but no manifest\.json; copy it whole"):
            retrieval.open(tmp_path / place)

    with pytest.raises(StoreCorrupt, match=r"holds 8 vectors but no manifest\.json"):
        retrieval.build_index(tmp_path / "lost", progress=False)

    with VectorStore.create(tmp_path / "killed" / ".retrieve", dim=8):
        pass
    with pytest.raises(CollectionNotFound, match="no collection in"):
        retrieval.open(tmp_path / "killed")

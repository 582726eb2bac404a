"""The longer examples of the collection's guide run as they are, beside a folder of photographs."""

from __future__ import annotations

import ast
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import retrieval
from retrieval.testing import check_encoder, check_family
from tests.retrieval.folders import fill

HERE = Path(__file__).parent
NAMES = [f"{folder}/{number}.png" for folder in ("animals", "textures") for number in range(4)]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    home = tmp_path_factory.mktemp("examples")
    retrieval.build_index(fill(home / "photos", NAMES))
    return home


@pytest.fixture
def home(indexed, tmp_path, monkeypatch):
    """A working directory that holds ``photos/``, indexed with the built-in encoder."""
    shutil.copytree(indexed, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def run(name):
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(HERE / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(cell, names):
    """Run a cell; return what its last line is."""
    tree = ast.parse(cell)
    last = tree.body.pop()
    exec(compile(tree, "<cell>", "exec"), names)  # noqa: S102 - an example of ours
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)  # noqa: S307


def test_every_cell_of_the_notebook_shows_a_picture_or_a_table(home):
    _, *cells = (HERE / "notebook.py").read_text(encoding="utf-8").split("# %%")
    names = {}
    pages = [shown(cell, names)._repr_html_() for cell in cells]
    names["photos"].close()

    assert len(pages) == 9
    assert all("<table" in page or "<img" in page for page in pages)
    assert all(len(page) <= 200_000 for page in pages)


def test_the_service_answers_words_and_images_and_says_what_is_wrong(home):
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    client = pytest.importorskip("starlette.testclient", reason="starlette's test client needs httpx")
    names = runpy.run_path(str(HERE / "service.py"))
    with names["photos"] as photos, client.TestClient(names["app"]) as web:
        by_words = web.get("/search", params={"q": "a cat", "k": 2}).json()
        picture = (home / "photos" / "animals" / "2.png").read_bytes()
        by_image = web.post("/search", params={"k": 1}, content=picture).json()

        assert [hit["path"] for hit in by_words] == [hit.path for hit in photos.search("a cat", k=2)]
        assert by_image[0]["path"] == "animals/2.png"
        assert web.get(f"/images/{by_image[0]['id']}").content == picture
        assert web.get("/images/99").status_code == 404
        assert "empty" in web.get("/search", params={"q": ""}).json()["detail"]
        assert "no image" in web.post("/search", content=b"x").json()["detail"]
        assert web.post("/refresh").json() is False


def test_the_training_loop_learns_from_negatives_that_its_workers_search_for(home):
    pytest.importorskip("torch", reason="torch is not installed")

    losses = json.loads(run("training.py"))

    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_the_table_has_a_label_and_a_twin_for_each_photograph(home):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    printed = run("table.py")

    labels = pandas.read_csv("labels.csv")
    assert set(labels["path"]) <= set(NAMES)
    assert (labels["path"] != labels["twin"]).all()
    assert labels["score"].between(-1, 1).all()
    assert "Neighbors" in printed


def test_the_plug_in_is_found_by_its_name_once_it_is_installed(home, monkeypatch):
    metadata = home / "site" / "retrieve_tint-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: retrieve-tint\nVersion: 1.0\n")
    import tomllib

    project = tomllib.loads((HERE / "plugin" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = [f"{name} = {value}\n" for name, value in project["entry-points"]["retrieval.encoders"].items()]
    (metadata / "entry_points.txt").write_text(f"[retrieval.encoders]\n{''.join(points)}")
    monkeypatch.syspath_prepend(HERE / "plugin")
    monkeypatch.syspath_prepend(home / "site")

    check_family("tint")
    check_encoder(retrieval.load_encoder("tint"))
    retrieval.build_index("photos/", index="tinted/", encoder="tint")
    with retrieval.open("tinted/") as photos:
        assert photos.search(Path("photos/animals/1.png"), include_self=True, k=1)[0].path == "animals/1.png"

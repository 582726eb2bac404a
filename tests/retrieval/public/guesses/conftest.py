"""What stands in the lines that people type: a name is the fixture of that name."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest

import retrieval
from tests.retrieval.folders import fill
from tests.retrieval.public.guesses.photographs import (
    COPY,
    DIM,
    ENCODER,
    NUMBER,
    PICTURES,
    PLAIN,
    plain,
    random_vectors,
)


@pytest.fixture(scope="package")
def built(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("guesses") / "photos", PICTURES)
    for name, colour in PLAIN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        plain(colour).save(folder / name)
    shutil.copy(folder / "2019/red.png", folder / COPY)
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


@pytest.fixture
def folder(built, tmp_path, monkeypatch):
    """The images and their index; the working directory is elsewhere, and holds files with names like words."""
    here = tmp_path / "here"
    (here / "a").mkdir(parents=True)
    for name in ("blue", "cats.jpg", "a/b"):
        plain("yellow").save(here / name, format="PNG")
    monkeypatch.chdir(here)
    return built


@pytest.fixture
def photos(folder):
    with retrieval.open(folder, encoder=ENCODER) as opened:
        yield opened


@pytest.fixture
def own(built, tmp_path):
    """A copy of the collection of images, to be written to."""
    shutil.copytree(built, tmp_path / "own")
    with retrieval.open(tmp_path / "own", encoder=ENCODER) as opened:
        yield opened


@pytest.fixture
def mine(tmp_path, vectors):
    """Five rows by hand, with the keys a to e."""
    with retrieval.create(tmp_path / "mine", dim=DIM) as made:
        made.add(vectors, keys=list("abcde"))
        yield made


@pytest.fixture
def album(tmp_path):
    """An empty collection that has an encoder."""
    with retrieval.create(tmp_path / "album", encoder=ENCODER) as made:
        yield made


@pytest.fixture
def empty(tmp_path):
    with retrieval.create(tmp_path / "empty", dim=DIM) as made:
        yield made


@pytest.fixture
def vectors():
    return random_vectors(5)


@pytest.fixture
def more():
    return random_vectors(3, seed=1)


@pytest.fixture
def v(photos):
    """The stored vector of the plain red image."""
    return ENCODER.encode_text(["red"])[0]


@pytest.fixture
def img():
    return plain("red")


@pytest.fixture
def hits(photos):
    return photos.search("red", k=4)


@pytest.fixture
def hit(hits):
    return hits[0]


@pytest.fixture
def neighbors(photos, v):
    return photos.search_vectors(np.stack([v, -v]), k=5)


@pytest.fixture
def mask(photos):
    flags = np.zeros(NUMBER, dtype=bool)
    flags[[2, 5]] = True
    return flags


@pytest.fixture
def new(tmp_path):
    """A folder that is not there yet."""
    return tmp_path / "new"


@pytest.fixture
def nano():
    return retrieval.load_encoder("nano", device="cpu")


@pytest.fixture
def pd():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pandas", reason="pandas is not installed")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")

"""An encoder of one's own takes ten lines, a plug-in its loader only."""

from __future__ import annotations

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.public.guesses.photographs import (
    ENCODER,
    NUMBER,
    plain,
)
from tests.retrieval.public.guesses.typed_lines import (
    says,
)

LOADER = """
from retrieval.testing import FakeEncoder

class Family:
    def open(self, model, version, *, device):
        return FakeEncoder(name=model or "guessed")

FAMILY = Family()
"""


def test_a_plug_in_needs_its_loader_only(built, tmp_path, monkeypatch):
    metadata = tmp_path / "guessed-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: guessed\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[retrieval.encoders]\nguessed = guessed_family:FAMILY\n")
    (tmp_path / "guessed_family.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)

    report = retrieval.build_index(built, index=tmp_path / "index", root=built, encoder="guessed:mine")

    assert report.images == NUMBER
    with retrieval.open(tmp_path / "index") as photos:
        assert photos.space.name == "mine"
        assert photos.search("red")[0].path == "2019/red.png"


class Ten:
    """An encoder of ten lines: the space, and two methods."""

    def __init__(self):
        self.space = ENCODER.space

    def preprocess(self, image):
        return ENCODER.preprocess(image)

    def encode_pixels(self, batch):
        return ENCODER.encode_pixels(batch)


def test_an_encoder_of_ten_lines_works(built, tmp_path):
    retrieval.build_index(built, index=tmp_path / "index", root=built, encoder=Ten())

    with retrieval.open(tmp_path / "index", encoder=Ten()) as photos:
        assert photos.search(plain("red"))[0].path == "2019/red.png"
        with pytest.raises(RetrievalError) as caught:
            photos.search("zebra")
    says(caught.value, "words|text")

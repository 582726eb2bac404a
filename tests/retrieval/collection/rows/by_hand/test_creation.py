from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import retrieval
from indexes.vectors import Space
from retrieval.errors import CapabilityMissing, OptionError, RetrievalError, ShapeError, SpaceMismatch
from retrieval.testing import FakeEncoder
from tests.retrieval.pictures import png


def test_an_empty_collection_answers_with_nothing(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "new", dim=8) as collection:
        assert (len(collection), collection.space.name, collection.space.dim) == (0, "new", 8)
        assert list(collection.search(np.ones(8))) == []
        assert not collection.changed()
        assert all(check.ok for check in collection.verify())
    assert collection.directory == tmp_path / "new" / ".retrieve"
    with retrieval.open(tmp_path / "new") as again:
        assert len(again) == 0


def test_an_encoder_gives_its_space_and_answers_words(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    with retrieval.create(tmp_path, encoder=encoder) as collection:
        collection.add_images(
            [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")], keys=["red", "blue"]
        )

        assert collection.space == encoder.space
        assert [hit.path for hit in collection.search("blue", k=1)] == ["blue"]


def test_a_spec_is_recorded(tmp_path: Path) -> None:
    with retrieval.create(tmp_path, encoder="nano") as collection:
        assert collection.manifest.encoder is not None
        assert collection.manifest.encoder.startswith("nano")


def test_words_need_an_encoder(tmp_path: Path) -> None:
    with retrieval.create(tmp_path, dim=8) as collection:
        collection.add(np.eye(8))

        with pytest.raises(CapabilityMissing):
            collection.search("a cat")
        with pytest.raises(CapabilityMissing):
            collection.add_images(png())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, OptionError, "needs `dim`"),
        ({"dim": 0}, OptionError, "dim is 0"),
        ({"dim": 2.5}, OptionError, "dim is 2.5"),
        ({"space": "mine"}, OptionError, "needs `dim`"),
        ({"space": 3, "dim": 8}, OptionError, r"space is 3 \(int\)"),
        ({"space": "", "dim": 8}, OptionError, "printable"),
        ({"space": "a\nb", "dim": 8}, OptionError, "printable"),
        ({"space": "\ud800", "dim": 8}, OptionError, "printable"),
        ({"dim": 8, "encoder": FakeEncoder()}, ShapeError, "dim is 8, but the space fake has vectors of 64"),
        ({"dim": 8, "space": Space(name="a", dim=9, fingerprint="a")}, ShapeError, "vectors of 9"),
        ({"space": "mine", "encoder": FakeEncoder()}, OptionError, "space is fake, not mine"),
        (
            {"space": FakeEncoder(dim=32).space, "encoder": FakeEncoder()},
            SpaceMismatch,
            "fake",
        ),
    ],
)
def test_what_does_not_agree_is_refused_and_leaves_nothing(
    tmp_path: Path, options: dict[str, Any], error: type[RetrievalError], words: str
) -> None:
    with pytest.raises(error, match=words):
        retrieval.create(tmp_path / "c", **options)

    assert not (tmp_path / "c").exists()


def test_what_is_there_is_not_made_anew(tmp_path: Path) -> None:
    with retrieval.create(tmp_path, dim=8) as collection:
        collection.add(np.eye(8))

    with pytest.raises(OptionError, match="holds a collection already"):
        retrieval.create(tmp_path, dim=8)

    with retrieval.open(tmp_path) as collection:
        assert len(collection) == 8


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(OptionError, match="in the way"):
        retrieval.create(tmp_path / "file", dim=8)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError):
        retrieval.create(tmp_path / name, dim=8)

    assert list(tmp_path.iterdir()) == []

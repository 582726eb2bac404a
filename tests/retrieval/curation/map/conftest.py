"""A map of the coloured pictures; without openTSNE there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.curation.map import ImageMap
from retrieval.testing import FakeEncoder

pytest.importorskip("openTSNE", reason="the extra map is not installed")


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("blue\ngreen\nred\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def found(coloured: Path, words: Path) -> ImageMap:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        return retrieval.map_images(collection, words=words)

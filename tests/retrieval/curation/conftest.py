"""A folder of red, green and blue pictures, indexed with an encoder that sees mean colours and knows their names."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.coloured import write_coloured


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours") / "photos"
    write_coloured(folder)
    retrieval.build_index(folder, encoder=FakeEncoder())
    return folder

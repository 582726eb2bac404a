"""A folder of twelve pictures, and an encoder that counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import NAMES


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)

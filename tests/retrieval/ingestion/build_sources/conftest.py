"""A second folder, a place for the index, and a plug-in that reads zip files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.retrieval.folders import fill
from tests.retrieval.ingestion.build_sources.recorded import FIXTURES, MORE


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return fill(tmp_path / "other", MORE, first=100)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def _zip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FIXTURES / "archives")

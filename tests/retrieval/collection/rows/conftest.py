"""An empty collection, and vectors to fill it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[retrieval.Collection]:
    with retrieval.create(tmp_path / "rows", dim=16) as collection:
        yield collection

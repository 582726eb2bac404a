"""A test module's own folder, open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import retrieval
from retrieval.testing import FakeEncoder


@pytest.fixture
def collection(photos: Path) -> Iterator[retrieval.Collection]:
    """The collection of the fixture ``photos``, which each module makes for itself."""
    with retrieval.open(photos, encoder=FakeEncoder()) as opened:
        yield opened

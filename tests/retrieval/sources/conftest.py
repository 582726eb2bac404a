"""An encoder that counts, for builds from any source."""

from __future__ import annotations

import pytest

from tests.retrieval.folders import CountingEncoder


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()

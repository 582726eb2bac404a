"""A store with ten committed rows."""

from __future__ import annotations

import pytest

from indexes.store.store import VectorStore
from tests.indexes.store.rows import DIM, new_rows
from tests.strategies import unit


@pytest.fixture
def home(tmp_path):
    """Return a collection directory with ten committed rows."""
    home = tmp_path / "collection"
    with VectorStore.create(home, dim=DIM) as store:
        store.append(unit(10, DIM, seed=0), new_rows(0, 10))
        store.commit()
    return home

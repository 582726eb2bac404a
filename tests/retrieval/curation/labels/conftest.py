"""A collection of vectors in four groups, with names that say the group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.collection import Collection

KINDS = ("bird", "cat", "dog", "fish")
EACH = 30
DIM = 24


def labels_of(numbers: range | list[int]) -> dict[str, str]:
    """The true label of rows: row ``n`` shows ``KINDS[n % 4]``."""
    return {f"{number:03}.jpg": KINDS[number % len(KINDS)] for number in numbers}


@pytest.fixture
def animals(tmp_path: Path) -> Iterator[Collection]:
    """120 rows around four directions, far from the origin together as embeddings are."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((len(KINDS), DIM))
    kinds = np.arange(len(KINDS) * EACH) % len(KINDS)
    vectors = 4 + centres[kinds] + 0.5 * rng.standard_normal((len(kinds), DIM))
    with retrieval.create(tmp_path / "animals", dim=DIM) as rows:
        rows.add(
            vectors,
            [f"{number:03}.jpg" for number in range(len(kinds))],
            columns=[{"kind": KINDS[kind]} if number < 8 else {} for number, kind in enumerate(kinds)],
        )
        yield rows

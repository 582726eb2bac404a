"""How often rows are among the nearest of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import retrieval
from retrieval.curation.audit.hubness import K, hubness


def brute(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    nearest = np.argsort(-cosines, axis=1)[:, :K]
    return np.bincount(nearest.ravel(), minlength=len(vectors))


def test_counts_equal_those_of_all_comparisons(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).standard_normal((120, 16)).astype(np.float16).astype(np.float32)
    with retrieval.create(tmp_path / "rows", dim=16) as rows:
        rows.add(vectors)
        found = hubness(rows, rows.mask())

    assert found is not None
    assert found.counts.sum() == 120 * K
    assert np.abs(found.counts - brute(vectors)).sum() <= 4  # half floats may order near ties otherwise


def test_a_hub_and_its_victims_are_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    spokes = rng.standard_normal((200, 64)) + 0.02
    hub = spokes.mean(axis=0, keepdims=True) + 1e-3
    with (
        retrieval.create(tmp_path / "even", dim=64) as even,
        retrieval.create(tmp_path / "hub", dim=64) as uneven,
    ):
        even.add(np.repeat(np.eye(20, 64), 11, axis=0) + 0.01 * rng.standard_normal((220, 64)))
        uneven.add(np.concatenate([spokes, hub]))
        level, skewed = hubness(even, even.mask()), hubness(uneven, uneven.mask())

    assert level is not None
    assert skewed is not None
    assert skewed.skew > level.skew
    assert skewed.most[0].path == "200"
    assert skewed.most[0].value == skewed.counts.max()
    assert level.never == 0


def test_only_rows_that_pass_the_filters_count(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).standard_normal((100, 8))
    with retrieval.create(tmp_path / "rows", dim=8) as rows:
        rows.add(vectors)
        mask = rows.mask()
        mask[60:] = False
        found = hubness(rows, mask)

    assert found is not None
    assert found.ids.tolist() == list(range(60))
    assert found.counts.sum() == 60 * K


def test_few_rows_say_nothing(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "rows", dim=8) as rows:
        rows.add(np.eye(8))

        assert hubness(rows, rows.mask()) is None

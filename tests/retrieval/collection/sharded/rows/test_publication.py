"""Publishing shards measures what is alike once."""

from __future__ import annotations

import numpy as np
import pytest

import retrieval
from indexes.engine import tune
from indexes.search import shard_search
from retrieval.collection.sharded.rows import index_jobs
from tests.retrieval.shards import shards_of, vectors


@pytest.fixture
def tuned(monkeypatch):
    """Give the classes of the stages that are tuned from now on, by this process for the first time."""
    stages: list[str] = []
    real = tune.tune
    monkeypatch.setattr(
        tune,
        "tune",
        lambda stage, *args, **options: stages.append(type(stage).__name__) or real(stage, *args, **options),
    )
    monkeypatch.setattr(index_jobs, "_settings", {})
    return stages


def parts() -> list[np.ndarray]:
    """Return three shards of nearly the same rows."""
    rows, rng = vectors(1000), np.random.default_rng(1)
    near = [rows + 0.02 * rng.standard_normal(rows.shape).astype(np.float32) for _ in range(3)]
    return [part / np.linalg.norm(part, axis=1, keepdims=True) for part in near]


def test_settings_of_one_shard_are_kept_for_the_next_where_they_reach_the_target(tmp_path, tuned):
    made = shards_of(tmp_path, parts())

    assert tuned == ["Refined", "_Joined"]
    settings = {(shard.manifest.index.nprobe, shard.manifest.index.shortlist) for shard in made.shards}
    assert len(settings) == 1
    for shard in made.shards:
        assert shard.manifest.index.recall_reason is None
        assert shard.manifest.index.recall_at_10 >= 0.95


def test_a_shard_that_is_unlike_is_tuned(tmp_path, tuned):
    rng = np.random.default_rng(3)
    scattered = rng.standard_normal((1000, 32)).astype(np.float32)
    scattered /= np.linalg.norm(scattered, axis=1, keepdims=True)
    made = shards_of(tmp_path, [*parts()[:2], scattered])

    assert tuned[:2] == ["Refined", "Refined"]
    first, _, last = (shard.manifest.index for shard in made.shards)
    assert last.nprobe * last.shortlist > first.nprobe * first.shortlist


def test_the_whole_is_tuned_shard_by_shard_where_that_finds_less_than_joined_lists(
    tmp_path, tuned, monkeypatch
):
    monkeypatch.setattr(
        shard_search, "candidates_of_each", lambda size, *, shards: max(size // shards // 4, 1)
    )
    made = shards_of(tmp_path, parts())

    assert tuned[1:] == ["_Joined", "_Stage"]
    assert made.index.recall_at_10 is not None


def test_joined_lists_are_measured_as_they_are_searched(tmp_path):
    made = shards_of(tmp_path, parts())
    queries = vectors(200, seed=7)
    with retrieval.open(tmp_path) as sharded:
        found = sharded.search_vectors(queries, k=10)
        truth = sharded.search_vectors(queries, k=10, exact=True)

    recall = np.mean(
        [len(set(a) & set(b)) / 10 for a, b in zip(found.ids.tolist(), truth.ids.tolist(), strict=True)]
    )
    assert recall >= 0.93  # usually 0.97
    assert abs(recall - made.index.recall_at_10) < 0.03

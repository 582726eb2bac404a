"""Sharded collections of made vectors, and one collection of the same rows, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexes.generation import Shards, Source, read_shards, shard_name
from retrieval.collection.rows import sync_vectors
from retrieval.collection.sharded.rows import Asked, publish_shards
from retrieval.distributed import open_cluster
from retrieval.location import record_root

DIM = 32


def vectors(count: int, *, seed: int = 0) -> np.ndarray:
    """Return unit rows in some clusters, (count, DIM) float32."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, DIM))
    rows = centres[rng.integers(0, 40, count)] + 0.7 * rng.standard_normal((count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def shards_of(
    directory: Path,
    parts: Sequence[np.ndarray],
    *,
    kind: str = "ivfrabitq",
    retrain: bool = False,
    recall: float | None = None,
) -> Shards:
    """Store each part as a shard, and publish them as one."""
    for number, part in enumerate(parts):
        place = directory / shard_name(number)
        if not place.exists():
            keys = [f"{number}/{row}" for row in range(len(part))]
            sync_vectors(directory, part, keys, space="made", index=place, kind="flat", progress=False)
    with open_cluster(None) as here:
        return publish_shards(
            directory,
            {number: [(str(number), "")] for number in range(len(parts))},
            Source(path=record_root(directory, directory)),
            Asked(kind=kind, retrain=retrain, recall=recall),
            here,
            before=read_shards(directory) if (directory / "shards.json").exists() else None,
            phrases=dict,
        )

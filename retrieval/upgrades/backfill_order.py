"""Order a backfill: first the images that the map places worst, where that wins on held-out queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.migration import KEPT, SERVED
from indexes.store import RERANK, RerankRows

if TYPE_CHECKING:
    from indexes.migration import Staging
    from indexes.store import VectorStore
    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Fitted, Migration

__all__ = ["FARTHEST", "RANDOM", "by_surprise", "farthest_first", "in_order"]

FARTHEST: Final = "farthest first"
RANDOM: Final = "random"

KNOWN = 4096  # rows known in both spaces that tell how surprising others will be
_NEAR = 16
_BLOCK = 4096


def in_order(migration: Migration, todo: Ids, *, store: VectorStore, staging: Staging) -> Ids:
    """Order ids that are to be encoded again as was found best when the upgrade began; arguments as of `farthest_first`."""
    if migration.entry.get("order", FARTHEST) == RANDOM:
        return np.random.default_rng(len(todo)).permutation(todo)
    return farthest_first(migration.way, todo, store=store, staging=staging)


def farthest_first(way: Fitted, todo: Ids, *, store: VectorStore, staging: Staging) -> Ids:
    """Order ids that are to be encoded again, by what all images that both encoders have seen tell.

    Args:
        way: the chosen map.
        todo: ``(n,)`` ids.
        store, staging: the old rows and the new ones.
    """
    rows = RerankRows.open(store.directory / RERANK, dim=store.dim, count=store.count).rows
    table = staging.rows_of(store.count, states=frozenset({KEPT, SERVED}))
    known = np.flatnonzero(table >= 0)
    if len(known) > KNOWN:
        known = np.sort(np.random.default_rng(0).choice(known, KNOWN, replace=False))
    new = RerankRows.open(
        staging.store.directory / RERANK, dim=staging.store.dim, count=staging.store.count
    ).rows
    known_old = np.asarray(rows[known], dtype=np.float32)
    known_new = np.asarray(new[table[known]], dtype=np.float32)
    surprise = np.concatenate(
        [
            by_surprise(
                way, rows=rows[todo[start : start + _BLOCK]], known_old=known_old, known_new=known_new
            )
            for start in range(0, len(todo), _BLOCK)
        ]
    )
    return todo[np.argsort(-surprise, kind="stable")]


def by_surprise(way: Fitted, *, rows: Any, known_old: Vectors, known_new: Vectors) -> Any:
    """Return how far each image will lie from where the map expects it, ``(n,)``, as far as one can tell before.

    The distance from the expectation is known where both encoders have seen an image. It varies smoothly over the old
    space, so that of the nearest known images, weighed by their likeness, predicts it.

    Args:
        way: holds the map back, from the old space to where the new encoder is expected to put an image.
        rows: ``(n, d_old)``, float16 or float32.
        known_old, known_new: ``(m, d_old)`` and ``(m, d_new)`` of images that both have encoded.
    """
    if len(known_old) == 0:
        return np.zeros(len(rows))
    missed = 1 - np.einsum("md,md->m", way.back.apply(known_old), known_new)  # (m,)
    near = min(_NEAR, len(known_old))
    expected = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        cosines = np.asarray(rows[start : start + _BLOCK], dtype=np.float32) @ known_old.T  # (b, m)
        nearest = np.argpartition(-cosines, near - 1, axis=1)[:, :near]  # (b, near)
        weights = np.exp(np.take_along_axis(cosines, nearest, axis=1) / 0.1)
        expected[start : start + _BLOCK] = (missed[nearest] * weights).sum(axis=1) / weights.sum(axis=1)
    return expected

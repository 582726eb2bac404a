"""Search several collections of one training as one: lists chosen once, shortlists merged before anything is reranked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from indexes.vectors import Neighbors, best

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.engine import Probes
    from indexes.vectors import Ids, Vectors

_SOME = 16  # candidates that a shard finds besides twice its share of them


class ShardSearchers(Protocol):
    """Several shards, asked all at once wherever they are; ids are those within each shard."""

    def probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose the lists of queries by the training that all share."""
        ...

    def probed(self, chosen: Probes, *, k: int) -> Sequence[Neighbors]:
        """Return what each shard finds by its codes in those lists."""
        ...

    def scored(self, queries: Vectors, ids: Sequence[Ids], *, k: int) -> Sequence[Neighbors]:
        """Return the best of each shard's candidates, and of its rows that no list holds, by exact cosine."""
        ...


def search_shards(
    shards: ShardSearchers, queries: Vectors, *, k: int, nprobe: int, shortlist: int, firsts: Sequence[int]
) -> Neighbors:
    """Find each query's best rows among all shards.

    Rows that are reranked do not grow with the number of shards: candidates of all shards are merged by their codes first.

    Args:
        shards: that are asked.
        queries: ``(q, d)`` float32 unit rows.
        k: neighbours wanted.
        nprobe: lists to probe, the same in each shard.
        shortlist: candidates to rerank, of all shards together.
        firsts: what is added to the ids of each shard.
    Returns:
        ids and exact cosines, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
    """
    size = max(shortlist, k)
    chosen = shards.probes(queries, nprobe=nprobe)
    found = shards.probed(chosen, k=max(candidates_of_each(size, shards=len(firsts)), k))
    return joined(shards.scored(queries, shortlists(found, size=size), k=k), k=k, firsts=firsts)


def shard_candidates(
    shards: ShardSearchers, queries: Vectors, *, count: int, nprobe: int, firsts: Sequence[int]
) -> Ids:
    """Return the rows that `search_shards` would rerank with a shortlist of ``count``, best first by their codes.

    Args:
        shards, queries, nprobe, firsts: as there.
        count: candidates.
    Returns:
        ids ``(q, count)``, padded with -1; rows that no list holds are not among them.
    """
    each = candidates_of_each(count, shards=len(firsts))
    found = shards.probed(shards.probes(queries, nprobe=nprobe), k=each)
    return joined(found, k=count, firsts=firsts).ids


def joined(found: Sequence[Neighbors], *, k: int, firsts: Sequence[int]) -> Neighbors:
    """Merge what shards have found: the best ``k`` of all, ties by smaller id.

    Args:
        found: of each shard, with ids within it.
        k: neighbours wanted.
        firsts: what is added to the ids of each shard.
    """
    ids = np.hstack(
        [np.where(one.ids < 0, -1, one.ids + first) for one, first in zip(found, firsts, strict=True)]
    )
    return best(ids, np.hstack([one.scores for one in found]), k=k)


def candidates_of_each(size: int, *, shards: int) -> int:
    """Return how many candidates of a shortlist each shard finds: twice its share, and some.

    To find all of them in every shard takes twice the time. Recall is measured with what is found so.
    """
    return min(size, 2 * -(-size // shards) + _SOME)


def shortlists(found: Sequence[Neighbors], *, size: int) -> list[Ids]:
    """Return of each shard the candidates that are among the best of all by their codes: ``(q, s)``, padded with -1."""
    scores = np.hstack([one.scores for one in found])  # (q, n * s)
    if scores.shape[1] > size:
        least = -np.partition(-scores, size - 1, axis=1)[:, size - 1 : size]  # (q, 1)
    else:
        least = np.full((len(scores), 1), -np.inf, dtype=np.float32)
    return [np.where(one.scores >= least, one.ids, -1) for one in found]

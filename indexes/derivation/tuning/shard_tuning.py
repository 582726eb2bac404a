"""Measure the recall of several collections that are searched as one, and find the settings that reach a wanted one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import Event, OnEvent
from indexes.engine import K, Questions, factory_strings, flat, tune, without
from indexes.generation import NAMED, SHIFT, Exact, IndexInfo, Inverted
from indexes.search import UnitedShards, joined, search_shards, shard_candidates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexes.engine import Probes
    from indexes.generation import Manifest, Request, Training
    from indexes.search import Generation
    from indexes.vectors import Ids, Neighbors, Vectors


def measure_shards(
    generations: Sequence[Generation],
    *,
    training: Training | None,
    request: Request,
    extra: Mapping[str, Vectors],
    progress: OnEvent,
    before: IndexInfo | None = None,
) -> IndexInfo:
    """Return how several collections are searched as one, with settings that were measured over all of them.

    Args:
        generations: of the shards, in their order.
        training: that they share; None where every row is compared.
        request: what was asked for.
        extra: sets of queries besides stored rows, by name.
        progress: is told of it.
        before: what was measured last; its settings are kept if they still reach the target.
    """
    manifests = [one.manifest for one in generations]
    width = manifests[0].space.dim
    rows = sum(one.count for one in manifests)
    indexed = [one for one in generations if isinstance(one.manifest.index, Inverted)]
    if training is None or not indexed:
        return Exact(dim=width, base_rows=rows, recall_target=request.recall)
    apart = _Stage(generations, indexed)
    united = UnitedShards.of(generations, _firsts(generations))
    stage = apart if united is None else _Joined(apart, united)
    info = Inverted(
        kind=_kind(request, training.factory, dim=width, lists=apart.nlist),
        factory=training.factory,
        dim=width,
        base_rows=rows,
        recall_target=request.recall,
        bytes_per_vector=_bytes(manifests),
        trained_rows=training.rows,
    )
    progress(Event(phase="tune", message="measuring recall of all shards against exact search"))
    questions = {"image": _stored_questions(generations)}
    questions |= {
        name: _other_questions(generations, queries) for name, queries in extra.items() if len(queries)
    }
    if (
        isinstance(before, Inverted)
        and before.shortlist is not None
        and before.recall_target == request.recall
    ):
        trial = tune.recall(stage, questions, nprobe=before.nprobe, shortlist=before.shortlist)
        if min(trial.recall.values()) >= request.recall:
            return _with(info, trial, questions, reached=True)
    result = tune.tune(stage, questions, target=request.recall)
    if stage is not apart and result.reached:
        # The first queries of a process are asked of each shard by itself, which merges shorter lists of candidates.
        chosen = result.chosen
        trial = tune.recall(apart, questions, nprobe=chosen.nprobe, shortlist=chosen.shortlist)
        if not tune.passes(trial, request.recall):
            result = tune.tune(apart, questions, target=request.recall)
    return _with(info, result.chosen, questions, reached=result.reached)


def _with(
    info: Inverted, trial: tune.Trial, questions: Mapping[str, Questions], *, reached: bool
) -> Inverted:
    text = trial.recall.get("text")
    return replace(
        info,
        nprobe=trial.nprobe,
        shortlist=trial.shortlist,
        recall_at_10=round(trial.recall["image"], 4),
        recall_sample=len(questions["image"].queries),
        recall_reason=None
        if reached
        else f"no setting reached {info.recall_target}; this is the best that was found",
        recall_at_10_text=None if text is None else round(text, 4),
    )


class _Stage:
    """All shards as the one first stage that is tuned, each searched by itself."""

    def __init__(self, generations: Sequence[Generation], indexed: Sequence[Generation]) -> None:
        self._generations = generations
        largest = max(indexed, key=lambda one: one.manifest.index.base_rows).first_stage()
        self._first = indexed[0]
        self.index, self.nlist, self.shards = largest.index, largest.nlist, len(indexed)

    def search(
        self, queries: Vectors, *, k: int, nprobe: int | None, shortlist: int, selector: Any = None
    ) -> Neighbors:
        """Find each query's best ``k`` of its shortlist; no selector is needed, each shard has its own tombstones."""
        del selector
        firsts = _firsts(self._generations)
        return search_shards(self, queries, k=k, nprobe=nprobe or 1, shortlist=shortlist, firsts=firsts)

    def candidates(self, queries: Vectors, *, count: int, nprobe: int, selector: Any = None) -> Ids:
        """Return the rows that `search` reranks with a shortlist of ``count``, best first by their codes."""
        del selector
        firsts = _firsts(self._generations)
        return shard_candidates(self, queries, count=count, nprobe=nprobe, firsts=firsts)

    def probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose lists by the first shard that has some."""
        return self._first.probes(queries, nprobe=nprobe)

    def probed(self, chosen: Probes, *, k: int) -> list[Neighbors]:
        """Search each shard's codes."""
        return [one.probed(chosen, k=k) for one in self._generations]

    def scored(self, queries: Vectors, ids: Sequence[Ids], *, k: int) -> list[Neighbors]:
        """Score each shard's candidates."""
        pairs = zip(self._generations, ids, strict=True)
        return [one.scored(queries, own, k=k, unlisted=True) for one, own in pairs]


class _Joined:
    """The same, by the lists of all shards joined in memory: a query's tables are computed once, not once a shard."""

    def __init__(self, apart: _Stage, united: UnitedShards) -> None:
        self._united = united
        self.index, self.nlist, self.shards = apart.index, apart.nlist, apart.shards

    def search(
        self, queries: Vectors, *, k: int, nprobe: int | None, shortlist: int, selector: Any = None
    ) -> Neighbors:
        """Find each query's best ``k`` of its shortlist; tombstones are left out."""
        del selector
        return self._united.search(queries, k=k, nprobe=nprobe or 1, shortlist=shortlist)

    def candidates(self, queries: Vectors, *, count: int, nprobe: int, selector: Any = None) -> Ids:
        """Return the rows that `search` reranks with a shortlist of ``count``, best first by their codes."""
        del selector
        return self._united.candidates(queries, count=count, nprobe=nprobe)


def _stored_questions(generations: Sequence[Generation]) -> Questions:
    """Ask stored rows of all shards for their neighbours, each without itself."""
    live = [np.arange(one.count) if one.live is None else np.flatnonzero(one.live) for one in generations]
    every = np.concatenate([ids + first for ids, first in zip(live, _firsts(generations), strict=True)])
    size = min(tune.SAMPLE, len(every))
    own = np.sort(np.random.default_rng(0).choice(every, size=size, replace=False))
    queries = np.empty((size, generations[0].manifest.space.dim), dtype=np.float32)
    for number, one in enumerate(generations):
        mine = own >> SHIFT == number
        queries[mine] = one.vectors(own[mine] & ((1 << SHIFT) - 1))
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.float32(1e-12))
    return Questions(queries=queries, own=own, true=without(_exact(generations, queries, k=K + 1).ids, own))


def _other_questions(generations: Sequence[Generation], queries: Vectors) -> Questions:
    """Ask queries that are no stored rows, such as texts."""
    true = _exact(generations, queries, k=K).ids
    return Questions(queries=queries, own=np.full(len(queries), -1), true=true)


def _exact(generations: Sequence[Generation], queries: Vectors, *, k: int) -> Neighbors:
    found = [flat.exact(one.rows[: one.count], queries, k=k, keep=one.live) for one in generations]
    return joined(found, k=k, firsts=_firsts(generations))


def _firsts(generations: Sequence[Generation]) -> list[int]:
    return [number << SHIFT for number in range(len(generations))]


def _kind(request: Request, factory: str, *, dim: int, lists: int) -> str:
    """Return the name of the kind that was built: ``auto`` has chosen one that has a name."""
    if request.kind in NAMED:
        return request.kind
    own = None if request.kind == factory else factory_strings.kind_of(factory, dim=dim, lists=lists)
    return own or "factory"


def _bytes(manifests: Sequence[Manifest]) -> float:
    """Return the bytes a row of all first stages."""
    rows = sum(one.count for one in manifests)
    return sum(one.index.bytes_per_vector * one.count for one in manifests) / max(rows, 1)

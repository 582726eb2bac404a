"""Search by a short prefix first, then order the shortlist by longer ones and at last at full width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes import flat, ivf, prefixes
from indexes.arrays import Bitmap, Ids, Neighbors, Vectors, best
from indexes.backend import faiss_threads, threads
from indexes.errors import OptionError
from indexes.flat import Halves
from indexes.space import Space

FACTOR = 10
"""Candidates a neighbour wanted, where nothing was tuned."""

TUNED_K = 10
"""Neighbours that plans are measured for; a larger ``k`` takes shortlists as many times as long."""

_BLOCK = 65_536
_FIRST = 32  # candidates before the first look at whether to stop
_SCARCE = 8  # a filter that keeps less than one row in so many is searched exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a funnel: rank by a prefix, hand the best on to the next width, the last time to the full one.

    Attributes:
        dim: width of the prefix.
        shortlist: candidates handed on.
        margin: a candidate's score at the next width is taken to exceed its score here by no more than this, so that
            the next step stops once the best it has found are out of reach; None to score the whole shortlist.
    """

    dim: int
    shortlist: int
    margin: float | None = None


Stages: TypeAlias = tuple[Stage, ...]


def check(stages: Sequence[Stage], *, k: int, space: Space, turned: bool = False) -> None:
    """Refuse a plan that cannot be.

    Args:
        stages: the plan.
        k: neighbours wanted of it.
        space: of the rows.
        turned: a rotation was fitted, so that every width is a prefix.
    Raises:
        OptionError: it has no stage, widths that do not rise to below the full one or are no prefixes, shortlists that
            grow or are shorter than ``k``.
    """
    if not stages:
        raise OptionError("a funnel needs at least one stage: (width, shortlist)")
    widths = [stage.dim for stage in stages]
    shortlists = [stage.shortlist for stage in stages]
    shown = ", ".join(f"({stage.dim}, {stage.shortlist})" for stage in stages)
    for width in widths:
        if not 0 < width < space.dim:
            raise OptionError(f"funnel {shown}: {width} is no width below the full one, {space.dim}")
        if not turned:
            space.prefix(width)
    if any(one >= other for one, other in pairwise(widths)):
        raise OptionError(f"funnel {shown}: the widths must rise from stage to stage")
    if any(one < other for one, other in pairwise(shortlists)):
        raise OptionError(f"funnel {shown}: a shortlist cannot be longer than the one before it")
    if shortlists[-1] < k:
        raise OptionError(
            f"funnel {shown}: the last shortlist, {shortlists[-1]}, is shorter than the {k} neighbours asked for; "
            f"make it at least {k}"
        )


def from_json(stages: Sequence[tuple[int, int, float | None]]) -> Stages:
    """Return the plan that a manifest records as (width, shortlist, margin)."""
    return tuple(Stage(dim=dim, shortlist=shortlist, margin=margin) for dim, shortlist, margin in stages)


def shown(stages: Sequence[tuple[int, int, float | None]]) -> str:
    """Write measured stages for people: ``shortlists 800 at 32, 200 at 128, stopping early``; empty for none."""
    if not stages:
        return ""
    steps = ", ".join(f"{shortlist} at {dim}" for dim, shortlist, _ in stages)
    early = ", stopping early" if any(margin is not None for _, _, margin in stages) else ""
    return f"shortlist{'s' if len(stages) > 1 else ''} {steps}{early}"


def for_k(stages: Stages, k: int) -> Stages:
    """Lengthen the shortlists of a measured plan for more neighbours than it was measured for."""
    if k <= TUNED_K:
        return stages
    return tuple(replace(stage, shortlist=-(-stage.shortlist * k // TUNED_K)) for stage in stages)


def factory_for(dim: int) -> str:
    """Return the FAISS factory string of a funnel's first stage: four bits a component, scanned 32 rows at a time.

    What one query costs is the bytes that it reads: half a byte for each component of the prefix against two for each of
    the full width. The quantiser has a codebook for each component, so nothing is learned but sixteen levels for each.
    """
    return f"PQ{dim}x4fs"


def compact(rows: Halves, dim: int, *, rotation: Vectors | None = None) -> Halves:
    """Return the prefixes of all rows, normalised, next to each other: ``(n, dim)`` float16."""
    heads = np.empty((len(rows), dim), dtype=np.float16)
    for start in range(0, len(rows), _BLOCK):
        heads[start : start + _BLOCK] = prefixes.head(rows[start : start + _BLOCK], dim, rotation=rotation)
    return heads


def search(
    rows: Halves,
    queries: Vectors,
    stages: Stages,
    *,
    k: int,
    keep: Bitmap | None = None,
    heads: Halves | None = None,
    rotation: Vectors | None = None,
) -> Neighbors:
    """Rank every row by the first stage's prefix, and go on as the plan says.

    Args:
        rows: ``(n, d)`` float16 unit rows.
        queries: ``(q, d)`` float32 unit rows.
        stages: the plan; `check` has passed it. Shortlists as long as there are rows make the search exact.
        k: neighbours wanted.
        keep: ``(n,)`` flags of rows to consider.
        heads: ``(n, dim)`` what `compact` returned for the first stage's width, where it is at hand.
        rotation: ``(d, d)`` orthogonal, for rows whose own components were not trained to be cut.
    Returns:
        ids and cosines at full width, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
    """
    first = stages[0]
    asked = prefixes.head(queries, first.dim, rotation=rotation)  # (q, dim)
    if heads is not None:
        found = flat.exact(heads, asked, k=first.shortlist, keep=keep)
    else:
        found = _none(len(queries))
        for start in range(0, len(rows), _BLOCK):
            block = compact(rows[start : start + _BLOCK], first.dim, rotation=rotation)
            flags = None if keep is None else keep[start : start + _BLOCK]
            here = flat.exact(block, asked, k=first.shortlist, keep=flags, first_id=start)
            found = best(
                np.hstack((found.ids, here.ids)), np.hstack((found.scores, here.scores)), k=first.shortlist
            )
    return _follow(rows, queries, found, stages, k=k, rotation=rotation)


class Funnel:
    """A compact first stage of prefixes over mapped rows; safe to share by threads.

    Args:
        index: a trained index without lists whose ids are positions in ``rows``, as `factory_for` names.
        rows: ``(n, d)`` float16.
        stages: the measured plan, for ten neighbours.
        rotation: ``(d, d)`` orthogonal, where the index turns the rows before it cuts them.
    """

    nlist = 0
    filters = True

    def __init__(self, index: Any, rows: Halves, stages: Stages, *, rotation: Vectors | None = None) -> None:
        self.index = index
        self.stages = stages
        self._rows = rows
        self._rotation = rotation
        self._refined = ivf.Refined(index, rows)

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        stages: Stages | None = None,
        keep: Bitmap | None = None,
    ) -> Neighbors:
        """Find each query's best ``k`` of what comes through the funnel.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            stages: another plan that begins with the same width; None for the measured one.
            keep: ``(n,)`` flags of the index's rows; others take no place in the shortlists.
        Returns:
            ids and cosines, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
        """
        plan = for_k(self.stages, k) if stages is None else stages
        most = max(1, int(self.index.ntotal))
        plan = tuple(replace(stage, shortlist=min(max(stage.shortlist, k), most)) for stage in plan)
        rows = self._rows[: self.index.ntotal]
        if keep is None:
            if len(plan) == 1 and plan[0].margin is None:
                return self._refined.search(queries, k=k, nprobe=None, shortlist=plan[0].shortlist)
            found = self._first(queries, plan[0].shortlist)
        else:
            kept = int(np.count_nonzero(keep))
            if kept * _SCARCE < len(keep):
                return flat.exact(rows, queries, k=k, keep=keep)
            found = self._among(queries, plan[0].shortlist, keep, kept)
        return _follow(rows, queries, found, plan, k=k, rotation=self._rotation)

    def handed_on(self, queries: Vectors, stages: Stages, *, keep: Bitmap | None = None) -> Neighbors:
        """Return what the last stage hands on to the full width: ids and scores of that stage, ``(q, shortlist)``."""
        first = stages[0].shortlist
        found = (
            self._first(queries, first)
            if keep is None
            else self._among(queries, first, keep, int(np.count_nonzero(keep)))
        )
        if len(stages) == 1:
            return found
        ids = np.full((len(queries), stages[-1].shortlist), -1, dtype=np.int64)
        scores = np.full(ids.shape, -np.inf, dtype=np.float32)
        for number in range(len(queries)):
            real = found.ids[number] >= 0
            some = found.ids[number, real], found.scores[number, real]
            for before, stage in pairwise(stages):
                some = _rank(
                    self._rows,
                    queries[number],
                    *some,
                    before,
                    dim=stage.dim,
                    wanted=stage.shortlist,
                    rotation=self._rotation,
                )
            ids[number, : len(some[0])], scores[number, : len(some[0])] = some
        return Neighbors(ids=ids, scores=scores)

    def cosines(self, query: Vectors, ids: Ids) -> NDArray[np.float32]:
        """Return the full-width cosines of a query ``(d,)`` with the rows ``ids`` ``(m,)``."""
        wide = self._rows[ids].astype(np.float32)  # (m, d)
        return np.asarray(np.einsum("md,d->m", wide, query), dtype=np.float32)

    def _first(self, queries: Vectors, shortlist: int) -> Neighbors:
        with faiss_threads(1 if len(queries) == 1 else threads()):
            scores, ids = self.index.search(queries, max(1, min(shortlist, int(self.index.ntotal))))
        return Neighbors(ids=ids, scores=scores)

    def _among(self, queries: Vectors, shortlist: int, keep: Bitmap, kept: int) -> Neighbors:
        """Return the shortlists of the rows kept: the index knows no filter, so more are asked for until enough remain."""
        rows = int(self.index.ntotal)
        wanted = min(shortlist, kept)
        ids = np.full((len(queries), wanted), -1, dtype=np.int64)
        scores = np.full((len(queries), wanted), -np.inf, dtype=np.float32)
        open_ = np.arange(len(queries))
        asked = min(rows, math.ceil(1.1 * wanted * rows / max(kept, 1)) + 16)
        while len(open_) and wanted:
            found = self._first(queries[open_], asked)
            good = (found.ids >= 0) & keep[np.maximum(found.ids, 0)]
            for place, number in enumerate(open_):
                some = np.flatnonzero(good[place])[:wanted]
                ids[number, : len(some)] = found.ids[place, some]
                scores[number, : len(some)] = found.scores[place, some]
            open_ = open_[good.sum(axis=1) < wanted] if asked < rows else open_[:0]
            asked = min(rows, 4 * asked)
        return Neighbors(ids=ids, scores=scores)


def _none(queries: int) -> Neighbors:
    return Neighbors(
        ids=np.full((queries, 0), -1, dtype=np.int64), scores=np.full((queries, 0), -np.inf, dtype=np.float32)
    )


def _follow(
    rows: Halves, queries: Vectors, found: Neighbors, stages: Stages, *, k: int, rotation: Vectors | None
) -> Neighbors:
    """Take each query's first shortlist through the later stages to the best ``k`` at full width."""
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for number, query in enumerate(queries):
        real = found.ids[number] >= 0
        some = found.ids[number, real], found.scores[number, real]
        for place, stage in enumerate(stages):
            last = place + 1 == len(stages)
            some = _rank(
                rows,
                query,
                *some,
                stage,
                dim=rows.shape[1] if last else stages[place + 1].dim,
                wanted=k if last else stages[place + 1].shortlist,
                rotation=rotation,
            )
        ids[number, : len(some[0])], scores[number, : len(some[1])] = some
    return Neighbors(ids=ids, scores=scores)


def _rank(
    rows: Halves,
    query: Vectors,
    ids: Ids,
    before: NDArray[np.float32],
    stage: Stage,
    *,
    dim: int,
    wanted: int,
    rotation: Vectors | None,
) -> tuple[Ids, NDArray[np.float32]]:
    """Score candidates at width ``dim``, best of the stage before first, until the rest are out of reach.

    Args:
        rows: ``(n, d)``; only the candidates' are read.
        query: ``(d,)``.
        ids, before: ``(m,)`` candidates of the stage before and their scores there, best first.
        stage: that stage.
        dim: the width to score at.
        wanted: how many to keep.
        rotation: ``(d, d)``; the full width needs none, because a rotation keeps every cosine.
    Returns:
        at most ``wanted`` ids and their scores, best first; ties by smaller id.
    """
    full = dim == rows.shape[1]
    asked = query if full else prefixes.head(query[np.newaxis], dim, rotation=rotation)[0]  # (dim,)
    scores = np.empty(len(ids), dtype=np.float32)
    done, size = 0, len(ids) if stage.margin is None else max(_FIRST, 2 * wanted)
    while done < len(ids):
        if stage.margin is not None and done >= wanted:
            least = np.partition(scores[:done], done - wanted)[done - wanted]
            if before[done] + stage.margin < least:
                break
        part = rows[ids[done : done + size]]  # (s, d)
        if full:
            wide = np.empty(part.shape, dtype=np.float32)
            flat.floats(part, wide)
        else:
            wide = prefixes.head(part, dim, rotation=rotation)
        np.einsum("md,d->m", wide, asked, out=scores[done : done + len(part)])
        done += len(part)
        size *= 2
    order = np.lexsort((ids[:done], -scores[:done]))[:wanted]
    return ids[order], scores[order]

"""Search by a short prefix first, then rerank the shortlist at full width."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine import Refined, faiss_threads, flat, prefixes, threads
from indexes.search.shortlist import follow, until
from indexes.search.stages import TUNED_K, Stages, for_k
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Vectors, merged, padding

_BLOCK = 65_536
_SCARCE = 8  # a filter that keeps less than one row in so many is searched exactly


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
        stages: the plan; `indexes.search.stages.check` has passed it. Shortlists as long as there are rows make the search exact.
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
        found = padding(len(queries), 0)
        for start in range(0, len(rows), _BLOCK):
            block = compact(rows[start : start + _BLOCK], first.dim, rotation=rotation)
            flags = None if keep is None else keep[start : start + _BLOCK]
            here = flat.exact(block, asked, k=first.shortlist, keep=flags, first_id=start)
            found = merged(found, here, k=first.shortlist)
    return follow(rows, queries, found, stages, k=k, rotation=rotation)


class Funnel:
    """A compact first stage of prefixes over mapped rows; safe to share by threads.

    Args:
        index: a trained index without lists whose ids are positions in ``rows``, as `factory_for` names.
        rows: ``(n, d)`` float16.
        stages: the measured plan, for ten neighbours.
        rotation: ``(d, d)`` orthogonal, where the index turns the rows before it cuts them.
        turned: ``(n, w)`` prefixes of the turned rows, for stages between the first and the full width.
    """

    nlist = 0
    filters = True

    def __init__(
        self,
        index: Any,
        rows: Halves,
        stages: Stages,
        *,
        rotation: Vectors | None = None,
        turned: Halves | None = None,
    ) -> None:
        self.index = index
        self.stages = stages
        self._rows = rows
        self._rotation = rotation
        self._turned = turned
        self._refined = Refined(index, rows)

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
        return follow(rows, queries, found, plan, k=k, rotation=self._rotation, turned=self._turned)

    def handed_on(self, queries: Vectors, stages: Stages, *, keep: Bitmap | None = None) -> Neighbors:
        """Return what the last stage hands on to the full width: ids and scores of that stage, ``(q, shortlist)``."""
        first = stages[0].shortlist
        found = (
            self._first(queries, first)
            if keep is None
            else self._among(queries, first, keep, int(np.count_nonzero(keep)))
        )
        return follow(
            self._rows, queries, found, stages, k=None, rotation=self._rotation, turned=self._turned
        )

    def compared(self, queries: Vectors, stages: Stages, *, keep: Bitmap | None = None) -> float:
        """Return how many candidates a query compares at full width on average, where the last stage has a margin."""
        handed = self.handed_on(queries, stages, keep=keep)
        found = self.search(queries, k=TUNED_K, stages=stages, keep=keep)
        counts = [
            until(scores[ids >= 0], float(best[-1]), stages[-1])
            for ids, scores, best in zip(handed.ids, handed.scores, found.scores, strict=True)
        ]
        return float(np.mean(counts))

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
        answers = padding(len(queries), wanted)
        open_ = np.arange(len(queries))
        asked = min(rows, math.ceil(1.1 * wanted * rows / max(kept, 1)) + 16)
        while len(open_) and wanted:
            found = self._first(queries[open_], asked)
            good = (found.ids >= 0) & keep[np.maximum(found.ids, 0)]
            for place, number in enumerate(open_):
                some = np.flatnonzero(good[place])[:wanted]
                answers.ids[number, : len(some)] = found.ids[place, some]
                answers.scores[number, : len(some)] = found.scores[place, some]
            open_ = open_[good.sum(axis=1) < wanted] if asked < rows else open_[:0]
            asked = min(rows, 4 * asked)
        return answers

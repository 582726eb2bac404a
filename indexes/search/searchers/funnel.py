"""Search by a short prefix first, then rerank the shortlist at full width."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from indexes.engine import Refined, faiss_threads, flat, prefixes, threads
from indexes.generation import Funnel as FunnelInfo
from indexes.search.searchers import exact
from indexes.search.searchers.searcher import IndexFile, Parameters, Wanted
from indexes.search.searchers.widths import TUNED_K, lengthened
from indexes.vectors import Bitmap, Halves, Neighbors, Vectors, best, floats, padding

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
    heads: Halves,
    queries: Vectors,
    *,
    shortlist: int,
    k: int,
    keep: Bitmap | None = None,
    rotation: Vectors | None = None,
) -> Neighbors:
    """Rank every row by a prefix, and the best at full width.

    Args:
        rows: ``(n, d)`` float16 unit rows.
        heads: ``(n, dim)`` their prefixes, as `compact` returns them.
        queries: ``(q, d)`` float32 unit rows.
        shortlist: candidates at full width, at least ``k``; as many as there are rows make the search exact.
        k: neighbours wanted.
        keep: ``(n,)`` flags of rows to consider.
        rotation: ``(d, d)`` orthogonal, for rows whose own components were not trained to be cut.
    Returns:
        ids and cosines at full width, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
    """
    asked = prefixes.head(queries, heads.shape[1], rotation=rotation)  # (q, dim)
    found = flat.exact(heads, asked, k=shortlist, keep=keep)
    return _reranked(rows, queries, found, k=k)


class Funnel:
    """A compact first stage of prefixes over mapped rows; safe to share by threads.

    Args:
        index: a trained index without lists whose ids are positions in ``rows``, as `factory_for` names.
        rows: ``(n, d)`` float16.
    """

    nlist = 0
    filters = True

    def __init__(self, index: Any, rows: Halves) -> None:
        self.index = index
        self._rows = rows
        self._refined = Refined(index, rows)

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        nprobe: int | None = None,
        shortlist: int,
        selector: Bitmap | None = None,
    ) -> Neighbors:
        """Find each query's best ``k`` of what comes through the funnel.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            nprobe: None; there are no lists.
            shortlist: candidates to rerank, at least ``k`` are.
            selector: ``(n,)`` flags of the index's rows; others take no place in the shortlists.
        Returns:
            ids and cosines, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
        """
        most = max(1, int(self.index.ntotal))
        shortlist = min(max(shortlist, k), most)
        if selector is None:
            return self._refined.search(queries, k=k, nprobe=nprobe, shortlist=shortlist)
        rows = self._rows[:most]
        kept = int(np.count_nonzero(selector))
        if kept * _SCARCE < len(selector):
            return flat.exact(rows, queries, k=k, keep=selector)
        return _reranked(rows, queries, self.among(queries, shortlist, selector), k=k)

    def among(self, queries: Vectors, shortlist: int, keep: Bitmap) -> Neighbors:
        """Return the shortlists of the rows kept: the index knows no filter, so more are asked for until enough remain."""
        rows, kept = int(self.index.ntotal), int(np.count_nonzero(keep))
        wanted = min(shortlist, kept)
        answers = padding(len(queries), wanted)
        open_ = np.arange(len(queries))
        asked = min(rows, math.ceil(1.1 * wanted * rows / max(kept, 1)) + 16)
        while len(open_) and wanted:
            with faiss_threads(1 if len(open_) == 1 else threads()):
                scores, ids = self.index.search(queries[open_], asked)
            good = (ids >= 0) & keep[np.maximum(ids, 0)]
            for place, number in enumerate(open_):
                some = np.flatnonzero(good[place])[:wanted]
                answers.ids[number, : len(some)] = ids[place, some]
                answers.scores[number, : len(some)] = scores[place, some]
            open_ = open_[good.sum(axis=1) < wanted] if asked < rows else open_[:0]
            asked = min(rows, 4 * asked)
        return answers


class FunnelSearcher:
    """A funnel in its file, and the shortlist that it was measured with.

    Args:
        path: of the index.
        info: how it was built and what was measured.
        rows: ``(base_rows, d)`` float16.
        opened: the file's FAISS index, if somebody has it open.
    Attributes:
        file: the index file.
    """

    def __init__(self, path: Path, info: FunnelInfo, rows: Halves, *, opened: Any = None) -> None:
        self.file = IndexFile(path, info.file, lambda index: Funnel(index, rows), index=opened)
        self._info, self._rows = info, rows
        self._exact = exact.ExactSearcher(rows)

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        allowed = None if wanted.allowed is None else wanted.allowed[: len(self._rows)]
        kept = len(self._rows) if allowed is None else int(np.count_nonzero(allowed))
        if wanted.filtered and exact.is_sooner(kept, queries=len(queries)):
            return self._exact.search(queries, wanted)
        shortlist = self.parameters(wanted).shortlist
        found = self.file.opened.search(queries, k=wanted.k, shortlist=shortlist, selector=allowed)
        return self._exact.filled(found, queries, wanted, kept=kept)

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return the shortlist that was measured for ten neighbours, and a longer one for more."""
        k = wanted.k if wanted.depth is None else wanted.depth
        measured = lengthened(self._info.shortlist or 4 * TUNED_K, k)
        return Parameters(None, measured if wanted.shortlist is None else wanted.shortlist)

    @property
    def memory(self) -> int:
        """Bytes of the index file."""
        return self.file.bytes


def _reranked(rows: Halves, queries: Vectors, found: Neighbors, *, k: int) -> Neighbors:
    """Order each query's shortlist, padded with -1, by its exact cosines at full width."""
    scores = np.full(found.ids.shape, -np.inf, dtype=np.float32)
    for number, query in enumerate(queries):
        real = found.ids[number] >= 0
        part = rows[found.ids[number, real]]  # (m, d)
        wide = np.empty(part.shape, dtype=np.float32)
        floats(part, wide)
        scores[number, real] = np.einsum("md,d->m", wide, query)
    return best(found.ids, scores, k=k)

"""Search the compressed base index of a generation and rerank its shortlist."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from indexes import forks
from indexes.engine import Card, Refined, flat, ivf
from indexes.generation import FileInfo, IndexInfo, file_checks
from indexes.generation import Funnel as FunnelInfo
from indexes.search.funnel import Funnel
from indexes.search.widths import TUNED_K, lengthened
from indexes.vectors import Bitmap, Halves, Neighbors, Vectors

_REACH = 0.6


class FirstStage:
    """An index file and the settings that it was measured with; safe to share by threads.

    Args:
        path: of the index; opened with the first search.
        info: how it was built and what was measured.
        rows: ``(n, d)`` float16, those behind the base included.
        index: that file's, if somebody has it open; None to open it.
    """

    def __init__(self, path: Path, info: IndexInfo, rows: Halves, *, index: Any = None) -> None:
        self._path, self._info, self._rows, self._index = path, info, rows, index
        self._opening = forks.Lock()
        self._opened: Refined | Funnel | None = None
        self._live_selector: Any = None

    def index_of(self, file: FileInfo | None) -> Any:
        """Return the FAISS index of a file, if it is this one and is open; else None."""
        same = file is not None and file == self._info.file
        if not same or self._opened is None:
            return self._index if same else None
        return self._opened.index

    @property
    def opened(self) -> Refined | Funnel:
        """The index, mapped."""
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    index = self._index
                    if index is None:
                        if self._info.file is not None:
                            file_checks.check(self._path, self._info.file)
                        index = ivf.open_mapped(self._path)
                    self._opened = (
                        Funnel(index, self._rows)
                        if isinstance(self._info, FunnelInfo)
                        else Refined(index, self._rows)
                    )
        return self._opened

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        allowed: Bitmap | None,
        kept: int,
        nprobe: int | None,
        shortlist: int | None,
        filtered: bool,
        card: Callable[[], Card | None],
    ) -> Neighbors:
        """Find each query's best ``k`` rows of the base.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows, at least one.
            k: neighbours wanted.
            allowed: ``(count,)`` flags of the rows that may be found; None for all.
            kept: rows of the base among them.
            nprobe, shortlist: None for what was measured, more for a larger ``k`` or a narrow filter.
            filtered: the caller asked for some rows only, rather than that some have a tombstone.
            card: gives the GPU that may search in the index's place, None for none.
        Returns:
            ids and cosines, ``(q, k)``, never fewer than there are; padded with -1 and -inf.
        """
        stage, info = self.opened, self._info
        rest = None if allowed is None else allowed[: info.base_rows]
        if shortlist is None:
            shortlist = lengthened(info.shortlist or 4 * TUNED_K, k)
        if isinstance(stage, Funnel):
            found = stage.search(queries, k=k, shortlist=shortlist, selector=rest)
            return self._filled(found, queries, k, rest, kept)
        if nprobe is None and info.nprobe is not None:
            # The k-th neighbour among a share f of the rows lies about where the k/f-th of all does. Lists for it
            # grow slower: with this power, filters of 1 to 50 % kept the recall tuned for at a million rows.
            reach = max(1.0, k / TUNED_K) / (max(kept, 1) / info.base_rows if filtered else 1.0)
            nprobe = min(math.ceil(info.nprobe * reach**_REACH), stage.nlist)
        selector = None if rest is None else self._selector(rest, filtered=filtered)
        shortlist = max(shortlist, k)
        served = card() if allowed is None else None
        there = (
            None
            if served is None
            else served.search(stage.index, queries, k=k, nprobe=nprobe, shortlist=shortlist)
        )
        found = there or stage.search(queries, k=k, nprobe=nprobe, shortlist=shortlist, selector=selector)
        return self._filled(found, queries, k, rest, kept)

    def codes(
        self, stage: Refined, queries: Vectors, *, k: int, nprobe: int | None, live: Bitmap | None
    ) -> Neighbors:
        """Find each query's best ``k`` live rows of the base by their codes alone, nothing reranked.

        Args:
            stage: what `opened` gave.
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            nprobe: lists to probe; None for what was measured.
            live: ``(base_rows,)`` flags; None if all are.
        Returns:
            ids and scores as `Refined.codes` gives them.
        """
        nprobe = nprobe or self._info.nprobe
        if live is None or live.all():
            return stage.codes(queries, k=k, nprobe=nprobe)
        if stage.filters:
            return stage.codes(queries, k=k, nprobe=nprobe, selector=self._selector(live, filtered=False))
        wanted = min(k + len(live) - int(np.count_nonzero(live)), len(live))
        found = stage.codes(queries, k=wanted, nprobe=nprobe)
        ids = np.where((found.ids >= 0) & live[np.maximum(found.ids, 0)], found.ids, -1)
        order = np.argsort(ids < 0, axis=1, kind="stable")[:, :k]  # the live ones first, in their order
        ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(found.scores, order, axis=1)
        return Neighbors(ids=ids, scores=np.where(ids < 0, -np.inf, scores).astype(np.float32))

    def _filled(
        self, found: Neighbors, queries: Vectors, k: int, keep: Bitmap | None, kept: int
    ) -> Neighbors:
        """Search exactly for those queries that found fewer than there are."""
        if found.ids[0, -1] >= 0 if len(queries) == 1 else not np.count_nonzero(found.ids < 0):
            return found
        short = np.flatnonzero((found.ids >= 0).sum(axis=1) < min(k, kept))
        if short.size:  # the lists probed held too few rows
            whole = flat.exact(self._rows[: self._info.base_rows], queries[short], k=k, keep=keep)
            found.ids[short], found.scores[short] = whole.ids, whole.scores
        return found

    def _selector(self, allowed: Bitmap, *, filtered: bool) -> Any:
        if not filtered and self._live_selector is not None:
            return self._live_selector
        selector = ivf.selector(allowed)
        if not filtered:
            self._live_selector = selector
        return selector

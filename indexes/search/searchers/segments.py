"""Search a base index and the segments of the rows behind it as one: lists chosen once, all candidates reranked together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes import forks
from indexes.engine import Probes, Refined, flat, ivf, segments
from indexes.generation import FileInfo, file_checks
from indexes.search.searchers import exact
from indexes.search.searchers.inverted import InvertedSearcher
from indexes.search.searchers.searcher import Parameters, Wanted
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Vectors, best, concatenated, merged


class WithSegments:
    """A searcher of inverted lists, and the segments of rows behind those that it searches.

    Args:
        base: searches the first rows.
        rows: ``(n, d)`` float16, those of the base included, and none behind those of the segments.
        files: of the segments, in the order of their rows, and what each is held to; at least one.
    """

    def __init__(
        self, base: InvertedSearcher, rows: Halves, files: Sequence[tuple[Path, FileInfo]], *, first: int
    ) -> None:
        self._base, self._rows, self._files, self._first = base, rows, files, first
        self._exact = exact.ExactSearcher(rows)
        self._opening = forks.Lock()
        self._opened: list[Refined] | None = None
        self._live: tuple[int, Any] | None = None  # how many rows have no tombstone, and a selector of them

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        kept, selector = self._kept(wanted, queries=len(queries))
        if wanted.filtered and exact.is_sooner(kept, queries=len(queries)):
            return self._exact.search(queries, wanted)
        nprobe, shortlist = self.parameters(wanted)
        there = self._base.on_card(queries, wanted)
        stages = self._segments() if there is not None else [self._base.stage, *self._segments()]
        # The candidates of all stages are held at a time.
        step = self._base.stage.at_once(nprobe, shortlist * len(stages))
        parts = [
            self._reranked(
                stages,
                queries[start : start + step],
                k=wanted.k,
                nprobe=nprobe,
                shortlist=shortlist,
                selector=selector,
            )
            for start in range(0, max(len(queries), 1), step)
        ]
        found = concatenated(parts)
        if there is not None:
            found = merged(there, found, k=wanted.k)
        return self._exact.filled(found, queries, wanted, kept=kept)

    def _reranked(
        self,
        stages: Sequence[Refined],
        queries: Vectors,
        *,
        k: int,
        nprobe: int | None,
        shortlist: int,
        selector: Any,
    ) -> Neighbors:
        """Find each query's best candidates in several indexes, and compare them at full width."""
        chosen = self._base.stage.probes(queries, nprobe=nprobe or 1)
        ids, scores = _found(stages, chosen, k=shortlist, selector=selector)
        if ids.shape[1] > shortlist:  # in any order: the cosines decide
            near = np.argpartition(scores, -shortlist, axis=1)[:, -shortlist:]  # (q, s)
            ids = np.take_along_axis(ids, near, axis=1)
        return flat.scored(self._rows, queries, ids, k=k)

    def probed(self, chosen: Probes, *, k: int, live: Bitmap | None) -> Neighbors:
        """Find each query's best ``k`` live rows by their codes, in lists that were chosen; see `InvertedSearcher.probed`."""
        selector = None if live is None else self._without_dead(live)[1]
        stages = [self._base.stage, *self._segments()]
        step = self._base.stage.at_once(chosen.lists.shape[1], k * len(stages))
        return concatenated(
            [
                best(*_found(stages, chosen.part(start, start + step), k=k, selector=selector), k=k)
                for start in range(0, max(len(chosen.lists), 1), step)
            ]
        )

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return how the base is searched, with a shortlist that grows as the rows have."""
        nprobe, shortlist = self._base.parameters(wanted)
        if wanted.shortlist is None:
            shortlist = math.ceil(shortlist * len(self._rows) / self._first)
        return Parameters(nprobe, shortlist)

    @property
    def memory(self) -> int:
        """Bytes of the base's first stage and of the segments."""
        return self._base.memory + sum(info.bytes for _, info in self._files)

    def _segments(self) -> list[Refined]:
        """Return the segments, checked and mapped with the first search."""
        opened = self._opened
        if opened is None:
            with self._opening:
                if self._opened is None:
                    index = self._base.stage.index
                    found = []
                    for path, info in self._files:
                        file_checks.check(path, info)
                        segment = segments.attached(ivf.open_mapped(path), index)
                        found.append(Refined(segment, self._rows))
                    self._opened = found
                opened = self._opened
        return opened

    def _kept(self, wanted: Wanted, *, queries: int) -> tuple[int, Any]:
        """Return how many rows may be found, and FAISS's selector of them, None for all or where nobody needs it."""
        if wanted.allowed is None:
            return len(self._rows), None
        if not wanted.filtered:
            return self._without_dead(wanted.allowed)
        allowed = wanted.allowed[: len(self._rows)]
        kept = int(np.count_nonzero(allowed))
        return kept, None if exact.is_sooner(kept, queries=queries) else ivf.selector(allowed)

    def _without_dead(self, live: Bitmap) -> tuple[int, Any]:
        """Return how many rows have no tombstone and FAISS's selector of them, counted and made once."""
        if self._live is None:
            own = live[: len(self._rows)]
            self._live = int(np.count_nonzero(own)), ivf.selector(own)
        return self._live


def _found(
    stages: Sequence[Refined], chosen: Probes, *, k: int, selector: Any
) -> tuple[Ids, NDArray[np.float32]]:
    """Find each query's best ``k`` in each of several indexes of one training: ids and scores, ``(q, n * k)``, one after the other."""
    found = [stage.probed(chosen, k=k, selector=selector) for stage in stages]
    return np.hstack([one.ids for one in found]), np.hstack([one.scores for one in found])

"""Search the rows behind a base index that are kept by its lists: those in the lists probed are compared exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexes.engine import flat, nearest
from indexes.generation import RowLists
from indexes.search.searchers.exact import is_sooner
from indexes.search.searchers.inverted import InvertedSearcher
from indexes.search.searchers.searcher import Parameters, Wanted
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Vectors, merged, padding


class WithListed:
    """A searcher of inverted lists, and rows behind those that it searches, kept by its lists.

    Args:
        base: searches the first rows.
        rows: ``(n, d)`` float16, those of the base included, and none behind those of the tables.
        tables: of the rows behind the base, in their order; at least one.
    """

    def __init__(self, base: InvertedSearcher, rows: Halves, tables: Sequence[RowLists]) -> None:
        self._base, self._rows, self._tables = base, rows, tables
        self._first = tables[0].first

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        base = self._base.search(queries, wanted)
        listed = self.listed(queries, wanted)
        found = merged(base, listed, k=wanted.k)
        short = np.flatnonzero(found.ids[:, -1] < 0) if len(queries) else np.empty(0, np.int64)
        if short.size:
            every = self._every(queries[short], wanted)
            some = Neighbors(ids=base.ids[short], scores=base.scores[short])
            whole = merged(some, every, k=wanted.k)
            found.ids[short], found.scores[short] = whole.ids, whole.scores
        return found

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return how the base is searched."""
        return self._base.parameters(wanted)

    @property
    def memory(self) -> int:
        """Bytes of the base's first stage and of the tables."""
        return self._base.memory + 8 * sum(map(len, self._tables))

    def listed(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Compare the rows in the lists that each query probes; all that may be found, where these are few."""
        allowed = self._allowed(wanted)
        if wanted.filtered and allowed is not None:
            kept = np.flatnonzero(allowed)
            if is_sooner(len(kept), queries=len(queries)):
                return flat.exact_among(self._rows, queries, kept + self._first, k=wanted.k)
        nprobe = min(self._base.parameters(wanted).nprobe or 1, self._base.stage.nlist)
        probed = nearest.nearest_lists(self._base.stage.index, queries, nprobe=nprobe)  # (q, nprobe)
        found = padding(len(queries), wanted.k)
        for number, lists in enumerate(probed):
            ids = self._in_lists(lists, allowed)
            one = flat.exact_among(self._rows, queries[number : number + 1], ids, k=wanted.k)
            found.ids[number], found.scores[number] = one.ids[0], one.scores[0]
        return found

    def _in_lists(self, lists: Ids, allowed: Bitmap | None) -> Ids:
        """Return the rows in some lists that may be found, ascending."""
        lists = lists[lists >= 0]
        ids = np.sort(np.concatenate([table.among(lists) for table in self._tables]))
        return ids if allowed is None else ids[allowed[ids - self._first]]

    def _every(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Compare all rows behind the base that may be found."""
        rows = self._rows[self._first :]
        return flat.exact(rows, queries, k=wanted.k, keep=self._allowed(wanted), first_id=self._first)

    def _allowed(self, wanted: Wanted) -> Bitmap | None:
        return None if wanted.allowed is None else wanted.allowed[self._first : len(self._rows)]

"""Search the rows added since the base index was built, and merge both answers."""

from __future__ import annotations

from typing import Any

from indexes.engine import faiss, faiss_threads, flat, fp16_view, ivf
from indexes.search.searchers.searcher import Parameters, Searcher, Wanted
from indexes.vectors import Bitmap, Halves, Neighbors, Vectors, merged, padding


class WithRecent:
    """A searcher, and the rows behind those that it searches.

    Args:
        base: searches the first rows.
        rows: ``(n, d)`` float16, those of the base included.
        first: how many those are, less than ``n``.
    """

    def __init__(self, base: Searcher, rows: Halves, first: int) -> None:
        self._searcher, self._rows, self._base = base, rows[first:], first
        self._view: Any = None  # the rows as faiss sees them
        self._live: Any = None  # faiss's parameters that leave tombstones out, and those flags

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        found, k, allowed = self._searcher.search(queries, wanted), wanted.k, wanted.allowed
        flags = None if allowed is None else allowed[self._base :]
        if len(queries) == 1 and not wanted.filtered and len(self._rows) > k:
            return self._of_one(found, queries, flags, k=k)
        return merged(found, flat.exact(self._rows, queries, k=k, keep=flags, first_id=self._base), k=k)

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return how the base is searched; recent rows are all compared."""
        return self._searcher.parameters(wanted)

    @property
    def memory(self) -> int:
        """Bytes of the base's first stage and of the recent rows."""
        return self._searcher.memory + self._rows.nbytes

    def _without_dead(self, live: Bitmap | None) -> Any:
        """Return faiss's parameters that leave tombstones out, made once; None where there are none."""
        if live is None:
            return None
        if self._live is None:
            dead = not live.all()
            self._live = (faiss().SearchParameters(sel=ivf.selector(live)) if dead else None,)
        return self._live[0]

    def _of_one(self, found: Neighbors, query: Vectors, live: Bitmap | None, *, k: int) -> Neighbors:
        """Merge one query's answers; for so few rows preparing costs more than comparing."""
        view = self._view
        if view is None:
            view = self._view = fp16_view(self._rows)
        with faiss_threads(1):  # a second thread would be waited for at every search
            scores, ids = view.search(query, k + 1, params=self._without_dead(live))
        if scores[0, k] == scores[0, k - 1]:  # which of those that tie were taken is chance
            tail = flat.exact(self._rows, query, k=k, keep=live)
            scores, ids = tail.scores, tail.ids
        there = ids[0] >= 0
        pairs = [
            *zip((-found.scores[0]).tolist(), found.ids[0].tolist(), strict=True),
            *zip((-scores[0, there]).tolist(), (ids[0, there] + self._base).tolist(), strict=True),
        ]
        pairs = sorted(pair for pair in pairs if pair[1] >= 0)[:k]
        answer = padding(1, k)
        answer.ids[0, : len(pairs)] = [number for _, number in pairs]
        answer.scores[0, : len(pairs)] = [-score for score, _ in pairs]
        return answer

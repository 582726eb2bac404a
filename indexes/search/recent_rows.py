"""Search the rows added since the base index was built, and merge both answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from indexes.engine import faiss_threads, flat, fp16_view
from indexes.search.searcher import Parameters, Searcher, Wanted
from indexes.vectors import Halves, Neighbors, Vectors, merged


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

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        found, k, allowed = self._searcher.search(queries, wanted), wanted.k, wanted.allowed
        if len(queries) == 1 and allowed is None and len(self._rows) > k:
            return self._of_one(found, queries, k=k)
        flags = None if allowed is None else allowed[self._base :]
        return merged(found, flat.exact(self._rows, queries, k=k, keep=flags, first_id=self._base), k=k)

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return how the base is searched; recent rows are all compared."""
        return self._searcher.parameters(wanted)

    @property
    def memory(self) -> int:
        """Bytes of the base's first stage and of the recent rows."""
        return self._searcher.memory + self._rows.nbytes

    def _of_one(self, found: Neighbors, query: Vectors, *, k: int) -> Neighbors:
        """Merge one query's answers; for so few rows preparing costs more than comparing."""
        view = self._view
        if view is None:
            view = self._view = fp16_view(self._rows)
        with faiss_threads(1):  # a second thread would be waited for at every search
            scores, ids = view.search(query, k + 1)
        if scores[0, k] == scores[0, k - 1]:  # which of those that tie were taken is chance
            tail = flat.exact(self._rows, query, k=k)
            scores, ids = tail.scores, tail.ids
        pairs = [
            *zip((-found.scores[0]).tolist(), found.ids[0].tolist(), strict=True),
            *zip((-scores[0]).tolist(), (ids[0] + self._base).tolist(), strict=True),
        ]
        pairs = sorted(pair for pair in pairs if pair[1] >= 0)[:k]
        return Neighbors(
            ids=np.array([[number for _, number in pairs]], dtype=np.int64),
            scores=np.array([[-score for score, _ in pairs]], dtype=np.float32),
        )

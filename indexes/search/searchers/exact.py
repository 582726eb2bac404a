"""Search by comparing every row at full width, on a GPU where one serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import flat, fp16_view
from indexes.search.searchers.searcher import Parameters, Wanted

if TYPE_CHECKING:
    from indexes.search import ServingCard
    from indexes.vectors import Halves, Neighbors, Vectors

ROWS, ROWS_OF_SEVERAL = 5_000, 20_000
"""Rows kept by a filter up to which one query, or several, search them exactly sooner than they find them in an index.

Several queries fetch those rows once for all.
"""

_SEVERAL = 8


def is_sooner(kept: int, *, queries: int) -> bool:
    """Say whether so many queries search so few rows exactly sooner than through an index."""
    return kept <= (ROWS if queries < _SEVERAL else ROWS_OF_SEVERAL)


class ExactSearcher:
    """Every row of a collection without an index, and of any other where that is asked for or is sooner.

    Args:
        rows: ``(n, d)`` float16.
        card: a GPU that holds all of them; None for none.
    """

    def __init__(self, rows: Halves, card: ServingCard | None = None) -> None:
        self._rows, self._card = rows, card
        self._view: Any = None  # the rows as faiss sees them

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        allowed = wanted.allowed
        if allowed is not None:
            return flat.exact(self._rows, queries, k=wanted.k, keep=allowed[: len(self._rows)])
        card = None if self._card is None or not len(queries) else self._card.get()
        found = None if card is None else card.exact(queries, k=wanted.k)
        if found is None and self._view is None:
            found = flat.without_faiss(self._rows, queries, k=wanted.k)
        if found is None:
            view = self._view
            if view is None:
                view = self._view = fp16_view(self._rows)
            found = flat.exact(self._rows, queries, k=wanted.k, view=view)
        return found

    def filled(self, found: Neighbors, queries: Vectors, wanted: Wanted, *, kept: int) -> Neighbors:
        """Search for those queries for which an index found fewer rows than there are; ``kept`` may be found."""
        if found.ids[0, -1] >= 0 if len(queries) == 1 else not np.count_nonzero(found.ids < 0):
            return found
        short = np.flatnonzero((found.ids >= 0).sum(axis=1) < min(wanted.k, kept))
        if short.size:
            whole = self.search(queries[short], wanted)
            found.ids[short], found.scores[short] = whole.ids, whole.scores
        return found

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return that every row is compared."""
        kept = len(self._rows) if wanted.allowed is None else int(np.count_nonzero(wanted.allowed))
        return Parameters(None, kept)

    @property
    def memory(self) -> int:
        """Bytes of the rows."""
        return self._rows.nbytes

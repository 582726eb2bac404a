"""Search a few rows out of many: all are compared, or where that takes longer their codes first."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import flat, fp16_view
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Vectors

if TYPE_CHECKING:
    from indexes.engine import Refined

FEW = 5_000
"""Rows up to which this costs less than a query that an index over a whole gallery answers."""

_CODED = 1 << 19
"""Components of the rows from which codes are compared first: a megabyte takes one query about 100 µs."""

_SHORTLIST = 5
"""Candidates that are compared exactly, for each neighbour wanted.

Codes of one bit a component keep 0.98 to 1.00 of the 20 nearest so, and 0.99 to 1.00 of the ten nearest.
"""


class FewRows:
    """Some of many rows, next to each other; safe to share by threads.

    Args:
        rows: ``(n, d)`` float16, of which they are; copied with the first search.
        places: ``(m,)`` where they stand.
        ids: ``(m,)`` what they are called.
    """

    def __init__(self, rows: Halves, places: Ids, ids: Ids) -> None:
        self._all, self._places, self._ids = rows, places, ids

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        keep: Bitmap | None = None,
        exact: bool = False,
        shortlist: int | None = None,
    ) -> Neighbors:
        """Find each query's ``k`` best rows.

        Args:
            queries: ``(q, d)`` float32 unit rows.
            k: neighbours wanted.
            keep: flags by id of the rows that may be found; then all of these are compared.
            exact: compare all rows.
            shortlist: candidates to compare exactly; None for enough.
        Returns:
            ids and cosines ``(q, k)``, as of `flat.exact`.
        """
        rows, view = self._copied
        if exact or keep is not None or rows.size <= _CODED or not len(queries):
            kept = None if keep is None else keep[self._ids]
            found = flat.exact(rows, queries, k=k, keep=kept, view=view)
        else:
            candidates = max(k, shortlist or _SHORTLIST * k)
            queries = np.ascontiguousarray(queries, dtype=np.float32)
            found = self._coded.search(queries, k=k, nprobe=None, shortlist=candidates)
        if not len(self._ids):
            return found
        return Neighbors(ids=np.where(found.ids < 0, -1, self._ids[found.ids]), scores=found.scores)

    def candidates(self, queries: Vectors, *, k: int) -> Neighbors:
        """Return rows among which each query's best ``k`` are, all but few of them (`_SHORTLIST`).

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
        Returns:
            where they stand among all rows ``(q, s)``, padded with -1 at the end, and their cosines, by codes or exact.
        """
        rows, view = self._copied
        if rows.size <= _CODED or not len(queries):
            found = flat.exact(rows, queries, k=k, view=view)
        else:
            found = self._coded.proposals(queries, count=min(_SHORTLIST * k, len(rows)), nprobe=None)
        if not len(rows):
            return found
        return Neighbors(ids=np.where(found.ids < 0, -1, self._places[found.ids]), scores=found.scores)

    @cached_property
    def _copied(self) -> tuple[Halves, Any]:
        """The rows, and as FAISS sees them; made twice if two threads come first."""
        rows = np.ascontiguousarray(self._all[self._places])
        return rows, fp16_view(rows) if len(rows) else None

    @cached_property
    def _coded(self) -> Refined:
        """Codes of one bit a component, without lists, and the rows behind them."""
        from indexes.engine import Refined, ivf

        rows, _ = self._copied
        wide = rows.astype(np.float32)
        index = ivf.make("RaBitQfs", dim=rows.shape[1])
        ivf.train(index, wide)
        ivf.add(index, [(np.arange(len(rows)), wide)])
        return Refined(index, rows)

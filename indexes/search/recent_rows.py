"""Search the rows added since the base index was built, and merge both answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from indexes.engine import flat, fp16_view
from indexes.vectors import Bitmap, Halves, Neighbors, Vectors, merged


class Tail:
    """Rows behind a base; safe to share by threads.

    Args:
        rows: ``(n, d)`` float16, those of the base included.
        base: how many those are, less than ``n``.
    """

    def __init__(self, rows: Halves, base: int) -> None:
        self._rows, self._base = rows[base:], base
        self._view: Any = None  # the rows as faiss sees them

    def with_base(self, found: Neighbors, queries: Vectors, *, k: int, allowed: Bitmap | None) -> Neighbors:
        """Merge the base's answers with the best of the tail.

        Args:
            found: ``(q, k)`` what the base gave.
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            allowed: ``(n,)`` flags of the rows that may be found; None for all.
        """
        if len(queries) == 1 and allowed is None and len(self._rows) > k:
            return self._of_one(found, queries, k=k)
        flags = None if allowed is None else allowed[self._base :]
        return merged(found, flat.exact(self._rows, queries, k=k, keep=flags, first_id=self._base), k=k)

    def _of_one(self, found: Neighbors, query: Vectors, *, k: int) -> Neighbors:
        """Merge one query's answers; for so few rows preparing costs more than comparing."""
        view = self._view
        if view is None:
            view = self._view = fp16_view(self._rows)
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

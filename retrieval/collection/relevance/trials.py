"""Ask rows whose labels are known: each label once where it is, and once where its rows are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.collection.relevance.fitting import Trial
from retrieval.collection.relevance.match_signals import LOOKED_AT, signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection.relevance.background import Background

PLACES = (*range(10), 14, 19, 29, 49, 99)
"""Places in the list of hits that are judged in a trial."""


def trial(
    query: NDArray[np.float32],
    vectors: Vectors,
    right: NDArray[np.bool_],
    background: Background,
    *,
    name: str,
) -> Trial:
    """Ask some rows one query.

    Args:
        query: ``(d,)`` unit vector.
        vectors: ``(n, d)`` unit rows that are searched; one at least.
        right: ``(n,)`` which of them are what is asked for.
        background: of the same space.
        name: of what is asked for.
    """
    scores = vectors @ query  # (n,)
    most = min(PLACES[-1] + 1, len(scores))
    best = np.argpartition(scores, -most)[-most:]
    best = best[np.argsort(-scores[best], kind="stable")]
    best = best[[place for place in PLACES if place < most]]
    rows = vectors[best]
    found = signals(query, rows, background, looked_at=min(LOOKED_AT, len(rows)), searched=len(vectors))
    return Trial(signals=found, right=right[best], present=bool(right.any()), name=name)

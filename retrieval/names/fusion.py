"""Fuse the ranking by vectors with what the names say: a name lifts a row's cosine by a share of the span of all cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIFT: Final = 1.5
"""How far a name that says all lifts a row, in spans from a usual row to the best one; `benchmarks/queries/bench_names.py` measures it."""

SAMPLE: Final = 128
"""Rows of which the usual one is taken."""


def fused(
    scores: NDArray[np.floating[Any]],
    gains: NDArray[np.float64],
    *,
    best: float,
    usual: NDArray[np.floating[Any]],
) -> NDArray[np.float64]:
    """Return what rows are ordered by, ``(n,)``, higher is better.

    A row whose name says something counts as a usual row at least, however little it looks like the words.

    Args:
        scores: ``(n,)`` cosines of the rows with the query.
        gains: ``(n,)`` what the names say, as `LookedUp.gains` has it; rows without are left as they are.
        best: the best score that was found.
        usual: ``(m,)`` scores of a sample of all rows, one at least.
    """
    middle = float(np.median(usual))
    span = max(best, float(usual.max())) - middle
    lifted: NDArray[np.float64] = np.maximum(scores, middle) + LIFT * span * gains
    return np.where(gains > 0, lifted, scores)

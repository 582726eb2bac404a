"""Turn signals into the calibrated probability that a hit is what was asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.collection.relevance.match_signals import OF_QUERY, OF_ROW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from retrieval.collection.relevance.match_signals import Signals

__all__ = ["SURE", "Calibration", "likely", "scaled", "terms"]

SURE = 0.5
"""Probability from which a hit counts as a match."""

_REACH = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How probable a match is by its signals, for queries of one kind.

    Attributes:
        query_means, query_spreads: ``(10,)`` of the signals of queries.
        query_weights: ``(10,)`` and the bias behind them: the logit of *it has an answer*.
        row_means, row_spreads: ``(4,)`` of the signals of rows.
        row_weights: ``(9,)`` of `terms`, and the bias behind them.
        error: the expected calibration error, of queries that nothing was fitted on.
    """

    query_means: NDArray[np.float64]
    query_spreads: NDArray[np.float64]
    query_weights: NDArray[np.float64]
    row_means: NDArray[np.float64]
    row_spreads: NDArray[np.float64]
    row_weights: NDArray[np.float64]
    error: float

    def answered(self, found: Signals) -> float:
        """Return the logit that a query has an answer at all."""
        near = scaled(found.query, self.query_means, self.query_spreads)
        return float(near @ self.query_weights[:-1] + self.query_weights[-1])

    def probabilities(self, found: Signals) -> NDArray[np.float64]:
        """Return for each row the probability that it is what was asked, ``(m,)``, 0 to 1."""
        logit, weights, count = self.answered(found), self.row_weights, found.rows.shape[1]
        # What `terms` weighs one by one, with the logit that all rows of a query share.
        of_rows = weights[1 : count + 1] + math.tanh(logit) * weights[count + 1 : -1]  # (4,)
        near = scaled(found.rows, self.row_means, self.row_spreads)
        sums = near @ of_rows + (logit * weights[0] + weights[-1])  # (m,)
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-sums))
        return probabilities

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "query_means": self.query_means.round(6).tolist(),
            "query_spreads": self.query_spreads.round(6).tolist(),
            "query_weights": self.query_weights.round(6).tolist(),
            "row_means": self.row_means.round(6).tolist(),
            "row_spreads": self.row_spreads.round(6).tolist(),
            "row_weights": self.row_weights.round(6).tolist(),
            "error": round(self.error, 4),
        }

    @staticmethod
    def from_json(facts: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        lengths = {
            "query_means": len(OF_QUERY), "query_spreads": len(OF_QUERY), "query_weights": len(OF_QUERY) + 1,
            "row_means": len(OF_ROW), "row_spreads": len(OF_ROW), "row_weights": 2 * len(OF_ROW) + 2,
        }  # fmt: skip
        arrays = {name: np.array(facts[name], dtype=np.float64) for name in lengths}
        wrong = [name for name, array in arrays.items() if array.shape != (lengths[name],)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not as many numbers as signals")
        return Calibration(**arrays, error=float(facts["error"]))


def scaled(
    found: NDArray[np.float64], means: NDArray[np.float64], spreads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return signals in spreads from their means, none further than three: beyond, nothing was fitted."""
    near: NDArray[np.float64] = np.minimum(np.maximum((found - means) / spreads, -_REACH), _REACH)
    return near


def terms(logits: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is weighed for each row: ``(m,)`` and ``(m, 4)`` give ``(m, 9)``.

    The logit of its query, its own signals, and these again where the query has an answer or has none.
    """
    return np.concatenate([logits[:, None], rows, rows * np.tanh(logits)[:, None]], axis=1)


def likely(probabilities: NDArray[np.float64]) -> int:
    """Return how many first hits to keep, so that most of what is kept is right, and of what is cut is not.

    It is the number with the greatest sum of ``probability - SURE``; the least of these.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(probabilities, dtype=np.float64) - SURE)])
    return int(sums.argmax())

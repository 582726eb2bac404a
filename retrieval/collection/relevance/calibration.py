"""Turn signals into the calibrated probability that a hit is what was asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.collection.relevance.match_signals import OF_QUERY, OF_ROW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from retrieval.collection.relevance.match_signals import Signals

LINE = 0.15
"""Probability of a match below which likely nothing follows.

With `nano@2` one of seven things that are there is called likely nothing, and six of ten that are not. At 0.5 six of ten that
are there would be called so.
"""

_REACH = 3.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How probable a match is by its signals, for queries of one kind.

    Attributes:
        query_means, query_spreads: ``(9,)`` of the signals of queries.
        query_weights: ``(9,)`` and the bias behind them: the logit of *it has an answer*.
        row_means, row_spreads: ``(3,)`` of the signals of rows.
        row_weights: ``(7,)`` of `terms`, and the bias behind them.
        error: the expected calibration error, of queries that nothing was fitted on.
    """

    query_means: NDArray[np.float64]
    query_spreads: NDArray[np.float64]
    query_weights: NDArray[np.float64]
    row_means: NDArray[np.float64]
    row_spreads: NDArray[np.float64]
    row_weights: NDArray[np.float64]
    error: float

    @cached_property
    def _of_query(self) -> list[tuple[float, float, float]]:
        """The mean, the spread and the weight of each signal of queries: nine numbers are scaled sooner without numpy."""
        arrays = (self.query_means, self.query_spreads, self.query_weights[:-1])
        return list(zip(*(array.tolist() for array in arrays), strict=True))

    @cached_property
    def _of_rows(self) -> tuple[NDArray[np.float64], ...]:
        """The means of the signals of rows, how far from these they count, and weights of unscaled ones, ``(3,)`` each."""
        count, reach = len(self.row_means), _REACH * self.row_spreads
        plain, more = self.row_weights[1 : count + 1], self.row_weights[count + 1 : -1]
        return self.row_means, reach, plain / self.row_spreads, more / self.row_spreads

    def answered(self, found: Signals) -> float:
        """Return the logit that a query has an answer at all."""
        total = float(self.query_weights[-1])
        for signal, (mean, spread, weight) in zip(found.query.tolist(), self._of_query, strict=True):
            total += weight * min(max((signal - mean) / spread, -_REACH), _REACH)
        return total

    def probabilities(self, found: Signals) -> NDArray[np.float64]:
        """Return for each row the probability that it is what was asked, ``(m,)``, 0 to 1; a search waits for it."""
        logit = self.answered(found)
        means, reach, plain, more = self._of_rows
        # What `terms` weighs one by one, with the logit that all rows of a query share.
        weights = plain + math.tanh(logit) * more  # (3,)
        near = np.minimum(np.maximum(found.rows - means, -reach), reach)  # (m, 3)
        odds = np.exp(
            near @ weights + (logit * float(self.row_weights[0]) + float(self.row_weights[-1]))
        )  # (m,)
        probabilities: NDArray[np.float64] = odds / (1 + odds)
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
    """Return what is weighed for each row: ``(m,)`` and ``(m, 3)`` give ``(m, 7)``.

    The logit of its query, its own signals, and these again where the query has an answer or has none.
    """
    return np.concatenate([logits[:, None], rows, rows * np.tanh(logits)[:, None]], axis=1)


def likely(probabilities: NDArray[np.float64]) -> int:
    """Return how many first hits are likely matches: those before the first one that is less probable than `LINE`.

    More hits behind them change nothing of it, so it does not depend on how many were asked for.
    """
    below = np.flatnonzero(np.asarray(probabilities) < LINE)
    return int(below[0]) if len(below) else len(probabilities)

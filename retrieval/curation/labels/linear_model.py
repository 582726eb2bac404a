"""Fit a linear model of labels by ridge regression, and judge each labelled row by a model that did not see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BIAS: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """A linear model: a score for each label.

    Attributes:
        weights: ``(d + 1, n)``; the last row is the bias.
        inverse: ``(d + 1, d + 1)`` of the regularised covariance.
    """

    weights: NDArray[np.float64]
    inverse: NDArray[np.float64]

    def scores(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``(q, n)`` scores of ``(q, d)`` rows; 1 for a label that fits."""
        scores: NDArray[np.float64] = rows @ self.weights[:-1] + self.weights[-1]
        return scores


class RidgeMoments:
    """What ridge regression needs to know of labelled rows; each label counts the same, however many rows it has."""

    def __init__(self, blocks: Iterator[NDArray[np.float32]], codes: NDArray[np.int64], n: int) -> None:
        """Read the rows once.

        Args:
            blocks: the rows in order, ``(b, d)`` each.
            codes: ``(m,)`` their labels, of ``n``.
            n: how many labels there are.
        """
        self.n = n
        self._share = len(codes) / (n * np.bincount(codes, minlength=n))  # (n,) weight of a row by its label
        start = 0
        for block in blocks:
            rows = with_bias(block)  # (b, d + 1)
            own = codes[start : start + len(rows)]
            weighted = rows * self._share[own][:, np.newaxis]
            if start == 0:
                self._covariance = np.zeros((rows.shape[1], rows.shape[1]))
                self._sums = np.zeros((n, rows.shape[1]))
            self._covariance += rows.T @ weighted
            np.add.at(self._sums, own, weighted)
            start += len(rows)

    def fit(self, penalty: float) -> Ridge:
        """Return the model with this penalty on its weights."""
        penalties = np.full(len(self._covariance), penalty)
        penalties[-1] = _BIAS
        inverse = np.asarray(
            np.linalg.inv(self._covariance + np.diag(penalties)), dtype=np.float64
        )  # (d + 1, d + 1)
        other = -1 / (self.n - 1)
        targets = (1 - other) * self._sums.T + other * self._sums.sum(axis=0)[:, np.newaxis]  # (d + 1, n)
        return Ridge(weights=inverse @ targets, inverse=inverse)

    def left_out(
        self, model: Ridge, rows: NDArray[np.float32], codes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return what a model fitted without each row says of it, ``(q, n)``.

        Args:
            model: fitted on all rows.
            rows: ``(q, d)`` some of them.
            codes: ``(q,)`` their labels.
        """
        full = with_bias(rows)
        leverage = np.einsum("qd,de,qe->q", full, model.inverse, full, optimize=True) * self._share[codes]
        leverage = np.minimum(leverage, 1 - 1e-6)[:, np.newaxis]
        targets = np.full((len(rows), self.n), -1 / (self.n - 1))
        targets[np.arange(len(rows)), codes] = 1.0
        scores: NDArray[np.float64] = (model.scores(rows) - leverage * targets) / (1 - leverage)
        return scores


def with_bias(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the rows as float64 with a last column of ones."""
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1, dtype=np.float64)


def softmax(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities of scores, ``(q, n)``; each row sums to 1."""
    powers = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares

"""Choose by leave-one-out how neighbours vote, how strong the linear model is, and how much each counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.curation.labels.linear_model import Ridge, RidgeMoments, softmax
from retrieval.curation.labels.neighbour_votes import LabelledNeighbours, Near, vote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.evaluation import KnownLabels

_K: Final = (1, 2, 4, 8, 16, 32, 64)
_VOTE_TEMPERATURES: Final = (0.02, 0.05, 0.1, 0.2, math.inf)
_PENALTIES: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_LINEAR_TEMPERATURES: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_SAMPLE: Final = 4_000
"""Labelled rows that are left out one by one."""
_SEED: Final = 20_221
_BLOCK: Final = 1_024
_FLOOR: Final = 1e-3
"""Least probability of a label: one sure mistake shall not decide."""
_FAR: Final = 0.01
"""Share of the labelled rows whose own nearest labelled row counts as far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How labels are guessed.

    Attributes:
        k: how many neighbours vote.
        temperature: of their votes; infinite where all count the same.
        votes_share: share of the votes in a probability, 0 to 1; the rest is the linear model's.
        penalty: of the linear model.
        linear_temperature: of its scores.
        nearest: an image without a labelled neighbour of this score is told to be like nothing.
        accuracy: share of the labelled rows that are guessed right if they are left out; None where each label has one row.
        tried: how many rows were left out, one by one.
    """

    k: int
    temperature: float
    votes_share: float
    penalty: float
    linear_temperature: float
    nearest: float
    accuracy: float | None
    tried: int

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name; an infinite temperature is None."""
        return {
            "k": self.k,
            "temperature": None if math.isinf(self.temperature) else self.temperature,
            "votes_share": self.votes_share,
            "penalty": self.penalty,
            "linear_temperature": self.linear_temperature,
            "nearest": self.nearest,
            "accuracy": self.accuracy,
            "tried": self.tried,
        }


class LabelModel:
    """Neighbours that vote and a linear model, fitted on the labelled rows of a collection."""

    def __init__(self, collection: Collection, known: KnownLabels) -> None:
        self._collection = collection
        self._known = known
        self._n = len(known.names)
        self.neighbours = LabelledNeighbours(collection, known)
        self._moments = RidgeMoments(self._blocks(), known.codes, self._n)
        self.choice = self._choose()
        self._ridge = self._moments.fit(self.choice.penalty)

    def guess(self, vectors: Vectors) -> tuple[NDArray[np.float64], Near]:
        """Return the probability of each label, ``(q, n)``, of rows without a label, and their labelled neighbours."""
        near = self.neighbours.of(vectors)
        return self._mixed(near, self._ridge.scores(self.neighbours.centred(vectors))), near

    def guess_left_out(self, places: Ids) -> tuple[NDArray[np.float64], Near]:
        """Return the probability of each label, ``(q, n)``, of labelled rows, each as if its own label were not known.

        Args:
            places: ``(q,)`` places among the labelled rows.
        """
        near, rows = self._left_out(places)
        scores = self._moments.left_out(self._ridge, rows, self._known.codes[places])
        return self._mixed(near, scores), near

    def _blocks(self) -> Iterator[Vectors]:
        for start in range(0, len(self._known.ids), _BLOCK):
            yield self.neighbours.centred(self._collection.vectors(self._known.ids[start : start + _BLOCK]))

    def _left_out(self, places: Ids) -> tuple[Near, Vectors]:
        ids = self._known.ids[places]
        vectors = self._collection.vectors(ids)
        return self.neighbours.of(vectors, own=ids), self.neighbours.centred(vectors)

    def _mixed(self, near: Near, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        choice = self.choice
        votes = vote(near, self._known.codes, self._n, k=choice.k, temperature=choice.temperature)
        linear = softmax(scores, choice.linear_temperature)
        mixed: NDArray[np.float64] = choice.votes_share * votes + (1 - choice.votes_share) * linear
        return mixed

    def _choose(self) -> Choice:
        known = self._known
        able = np.flatnonzero(known.counts[known.codes] > 1)  # a label's only row says nothing without itself
        if not len(able):
            near, _ = self._left_out(np.arange(min(len(known.ids), _SAMPLE)))
            return _unmeasured(float(np.quantile(near.nearest, _FAR)))
        places = np.sort(np.random.default_rng(_SEED).permutation(able)[:_SAMPLE])
        near, rows = self._left_out(places)
        codes = known.codes[places]
        votes, k, temperature = self._best_votes(near, codes)
        linear, penalty, linear_temperature = self._best_ridge(rows, codes)
        share = min(_SHARES, key=lambda share: _loss(share * votes + (1 - share) * linear, codes))
        right = (share * votes + (1 - share) * linear).argmax(axis=1) == codes
        return Choice(
            k=k,
            temperature=temperature,
            votes_share=share,
            penalty=penalty,
            linear_temperature=linear_temperature,
            nearest=float(np.quantile(near.nearest, _FAR)),
            accuracy=float(right.mean()),
            tried=len(places),
        )

    def _best_votes(self, near: Near, codes: NDArray[np.int64]) -> tuple[NDArray[np.float64], int, float]:
        best: tuple[float, NDArray[np.float64], int, float] | None = None
        for k in _K:
            if k > near.places.shape[1]:
                break
            for temperature in _VOTE_TEMPERATURES:
                votes = vote(near, self._known.codes, self._n, k=k, temperature=temperature)
                loss = _loss(votes, codes)
                if best is None or loss < best[0]:
                    best = loss, votes, k, temperature
        assert best is not None  # noqa: S101 - one neighbour at least is looked up
        return best[1:]

    def _best_ridge(
        self, rows: NDArray[np.float32], codes: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], float, float]:
        best: tuple[float, NDArray[np.float64], float, float] | None = None
        for penalty in _PENALTIES:
            model: Ridge = self._moments.fit(penalty)
            scores = self._moments.left_out(model, rows, codes)
            for temperature in _LINEAR_TEMPERATURES:
                linear = softmax(scores, temperature)
                loss = _loss(linear, codes)
                if best is None or loss < best[0]:
                    best = loss, linear, penalty, temperature
        assert best is not None  # noqa: S101 - there are penalties to try
        return best[1:]


def _unmeasured(nearest: float) -> Choice:
    """Return what is taken where each label has one row, so that nothing can be left out: the nearest few vote."""
    return Choice(
        k=_K[-1],
        temperature=0.05,
        votes_share=1.0,
        penalty=1.0,
        linear_temperature=0.1,
        nearest=nearest,
        accuracy=None,
        tried=0,
    )


def _loss(shares: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the mean surprise at the labels, in nats."""
    return float(-np.log(np.maximum(shares[np.arange(len(codes)), codes], _FLOOR)).mean())

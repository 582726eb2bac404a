"""Find the labelled neighbours of vectors through the index, and let them vote for labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.evaluation import KnownLabels

CANDIDATES: Final = 64
"""Neighbours that are looked up; no more of them vote."""

_SAMPLE: Final = 20_000
_SEED: Final = 20_221
_LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """The labelled neighbours of some vectors, nearest first.

    Attributes:
        places: ``(q, c)`` places among the labelled rows, -1 where there are no more.
        scores: ``(q, c)`` cosines once the collection's mean is taken from both vectors, -inf where there are no more.
        cosines: ``(q, c)`` plain cosines.
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float32]
    cosines: NDArray[np.float32]

    @property
    def nearest(self) -> NDArray[np.float32]:
        """The first score of each, ``(q,)``."""
        return self.scores[:, 0]


class LabelledNeighbours:
    """The labelled rows of a collection, as neighbours of others.

    Scores are cosines around the collection's mean: what all images share says nothing about their labels.
    """

    def __init__(self, collection: Collection, known: KnownLabels) -> None:
        self._collection = collection
        self._ids = known.ids
        self.mean = mean_of(collection)
        self._square = float(self.mean @ self.mean)
        self._mask: Bitmap = collection.mask(ids=known.ids)
        self._shared = np.concatenate(
            [
                collection.vectors(known.ids[start : start + _SAMPLE]) @ self.mean
                for start in range(0, len(known.ids), _SAMPLE)
            ]
        )  # (m,)

    def centred(self, vectors: Vectors) -> Vectors:
        """Return unit vectors around the collection's mean, ``(q, d)``."""
        moved = vectors - self.mean
        rows: Vectors = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), _LEAST)
        return rows

    def of(self, vectors: Vectors, *, own: Ids | None = None) -> Near:
        """Find the nearest labelled rows.

        Args:
            vectors: ``(q, d)`` unit rows.
            own: ``(q,)`` rows of the collection that the vectors are of, which are left out; None where they have no label.
        """
        wanted = min(CANDIDATES + (own is not None), len(self._ids))
        found = self._collection.search_vectors(vectors, k=wanted, mask=self._mask)
        places = np.searchsorted(self._ids, found.ids)  # (q, c)
        there = found.ids >= 0
        if own is not None:
            there &= found.ids != own[:, np.newaxis]
        places = np.where(there, np.minimum(places, len(self._ids) - 1), -1)
        shared = vectors @ self.mean  # (q,)
        # The vectors have length 1, so their products with the mean give the cosine around it.
        product = found.scores - shared[:, np.newaxis] - self._shared[places] + self._square
        lengths = self._length(shared)[:, np.newaxis] * self._length(self._shared)[places]
        scores = np.where(there, product / lengths, -np.inf).astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : max(wanted - (own is not None), 1)]
        return Near(
            places=np.take_along_axis(places, order, axis=1),
            scores=np.take_along_axis(scores, order, axis=1),
            cosines=np.take_along_axis(found.scores, order, axis=1),
        )

    def _length(self, shared: Vectors) -> Vectors:
        lengths: Vectors = np.sqrt(np.maximum(1 - 2 * shared + self._square, _LEAST))
        return lengths


def mean_of(collection: Collection) -> Vectors:
    """Return the mean of the collection's vectors, ``(d,)`` float32, from a sample of 20,000."""
    live = collection.row_ids()
    some = np.sort(np.random.default_rng(_SEED).permutation(live)[:_SAMPLE])
    mean: Vectors = collection.vectors(some).mean(axis=0)
    return mean


def vote(near: Near, codes: NDArray[np.int64], n: int, *, k: int, temperature: float) -> NDArray[np.float64]:
    """Return the share of each label among the votes of the first ``k`` neighbours.

    Args:
        near: the neighbours of ``q`` vectors.
        codes: ``(m,)`` labels of the labelled rows.
        n: how many labels there are.
        k: how many neighbours vote.
        temperature: a vote counts ``exp(score / temperature)``; infinity lets all votes count the same.
    Returns:
        ``(q, n)``, each row sums to 1.
    """
    weights = weights_of(near, k=k, temperature=temperature)  # (q, k)
    labels = codes[near.places[:, :k]]  # (q, k)
    votes = np.zeros((len(labels), n))  # (q, n)
    np.add.at(votes, (np.arange(len(labels))[:, np.newaxis], labels), weights)
    return votes


def weights_of(near: Near, *, k: int, temperature: float) -> NDArray[np.float64]:
    """Return the share of each neighbour's vote, ``(q, k)``; equal shares where there is no neighbour."""
    scores = near.scores[:, :k].astype(np.float64)
    there = np.isfinite(scores)
    top = np.where(there, scores, -2.0).max(axis=1, keepdims=True)
    weights = np.where(there, np.exp((np.where(there, scores, top) - top) / temperature), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.where(
        total > 0, weights / np.maximum(total, _LEAST), 1 / scores.shape[1]
    )
    return shares

"""Neighbours found through the index equal those of a plain comparison, and their votes the plain sum."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrieval.collection import Collection
from retrieval.curation.labels.neighbour_votes import CANDIDATES, LabelledNeighbours, vote
from retrieval.evaluation import known_labels
from tests.retrieval.curation.labels.conftest import labels_of


def test_scores_are_cosines_around_the_mean(animals: Collection) -> None:
    known = known_labels(animals, labels_of(range(20)))
    neighbours = LabelledNeighbours(animals, known)
    vectors = animals.vectors(range(60, 70))

    near = neighbours.of(vectors)

    plain = neighbours.centred(vectors) @ neighbours.centred(animals.vectors(known.ids)).T  # (q, m)
    np.testing.assert_allclose(near.scores, -np.sort(-plain, axis=1), atol=5e-3)  # stored as float16
    np.testing.assert_allclose(np.take_along_axis(plain, near.places, axis=1), near.scores, atol=5e-3)


def test_a_row_is_not_its_own_neighbour(animals: Collection) -> None:
    known = known_labels(animals, labels_of(range(20)))

    near = LabelledNeighbours(animals, known).of(animals.vectors(known.ids), own=known.ids)

    assert near.places.shape == (20, 19)
    assert all(place not in row for place, row in enumerate(near.places.tolist()))


def test_no_more_than_the_candidates_are_looked_up(animals: Collection) -> None:
    known = known_labels(animals, labels_of(range(100)))

    near = LabelledNeighbours(animals, known).of(animals.vectors([110]))

    assert near.places.shape == (1, CANDIDATES)


@pytest.mark.parametrize("temperature", [0.05, math.inf])
def test_votes_are_the_weighted_sum(animals: Collection, temperature: float) -> None:
    known = known_labels(animals, labels_of(range(20)))
    near = LabelledNeighbours(animals, known).of(animals.vectors([50, 61]))

    votes = vote(near, known.codes, 4, k=5, temperature=temperature)

    for row in range(2):
        weights = np.exp(near.scores[row, :5].astype(float) / temperature)
        plain = np.bincount(known.codes[near.places[row, :5]], weights=weights, minlength=4)
        np.testing.assert_allclose(votes[row], plain / plain.sum(), rtol=1e-6)

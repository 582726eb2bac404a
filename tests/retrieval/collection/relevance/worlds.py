"""Made vectors of things, of which it is known what is alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.relevance import Background, Trial, trial

DIM = 32


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def things(
    rng: np.random.Generator, *, kinds: int, each: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return rows of some kinds of things, and the kind of each."""
    centres = rng.standard_normal((kinds, DIM))
    labels = np.repeat(np.arange(kinds), each)
    return unit(centres[labels] + 0.6 * rng.standard_normal((len(labels), DIM))), labels


def background(rng: np.random.Generator) -> Background:
    return Background(unit(rng.standard_normal((400, DIM))))


def trials(rng: np.random.Generator, *, kinds: int = 20) -> list[Trial]:
    """Ask for each kind by one of its rows, where the others are and where they are not."""
    rows, labels = things(rng, kinds=kinds, each=12)
    usual = background(rng)
    made = []
    for asked in range(0, len(rows), 4):
        rest = np.arange(len(rows)) != asked
        for use in (rest, labels != labels[asked]):
            right = labels[use] == labels[asked]
            made.append(trial(rows[asked], rows[use], right, usual, name=str(labels[asked])))
    return made

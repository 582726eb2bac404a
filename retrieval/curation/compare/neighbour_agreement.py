"""Compare which neighbours two encoders give to the same images, and how well labels agree with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from indexes.engine import exact
from indexes.vectors import map_at_k
from retrieval.evaluation.copy_detection import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Halves, Ids

_RESAMPLED: Final = 500
_SEED: Final = 20_221
_BOUNDS: Final = (2.5, 97.5)  # percentiles: 95 of 100 draws are within


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """The nearest other images of some.

    Attributes:
        places: ``(q, k)`` places among the compared images, best first.
        scores: ``(q, k)`` cosines.
    """

    places: Ids
    scores: NDArray[np.float32]


def neighbours_of(rows: Halves, asked: Ids, *, k: int) -> Near:
    """Return the nearest other rows of some rows, by exact search.

    Args:
        rows: ``(n, d)`` float16 unit rows.
        asked: ``(q,)`` places among them.
        k: neighbours wanted, less than ``n``.
    """
    found = exact(rows, rows[asked].astype(np.float32), k=k + 1)
    own = found.ids == asked[:, np.newaxis]  # (q, k + 1)
    own[~own.any(axis=1), -1] = True  # copies may have left no place for the row itself
    return Near(
        places=found.ids[~own].reshape(len(asked), k), scores=found.scores[~own].reshape(len(asked), k)
    )


def shared_by(one: Near, other: Near) -> Bitmap:
    """Return which neighbours of one are neighbours of the other, too: ``(q, k)``."""
    flags: Bitmap = (one.places[:, :, np.newaxis] == other.places[:, np.newaxis, :]).any(axis=2)
    return flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """How well the neighbours of labelled images have the same label.

    Attributes:
        first: ``(q,)`` whether the nearest has it.
        precision: ``(q,)`` the average precision of the first ones.
    """

    first: Bitmap
    precision: NDArray[np.float64]


def right_of(near: Near, asked: Ids, codes: NDArray[np.int64]) -> Right:
    """Judge neighbours by labels.

    Args:
        near: of the images asked for, all among labelled ones.
        asked: ``(q,)`` places among them.
        codes: ``(n,)`` the label of each.
    """
    relevant = codes[near.places] == codes[asked][:, np.newaxis]  # (q, k)
    k = relevant.shape[1]
    return Right(
        first=relevant[:, 0],
        precision=np.array([map_at_k(relevant[place : place + 1], k=k) for place in range(len(relevant))]),
    )


def mean_of(values: NDArray[np.floating] | Bitmap) -> Interval:
    """Return the mean of values, one of each query, and where it lies in 95 of 100 draws of as many queries."""
    numbers = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(_SEED)
    means = [numbers[draws.integers(len(numbers), size=len(numbers))].mean() for _ in range(_RESAMPLED)]
    low, high = np.percentile(means, _BOUNDS)
    return Interval(
        value=round(float(numbers.mean()), 4), low=round(float(low), 4), high=round(float(high), 4)
    )

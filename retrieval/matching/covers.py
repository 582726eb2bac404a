"""Measure what was laid over one of two pictures: the largest block in which they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.matching.comparison import evidence
from retrieval.matching.opencv import opencv

if TYPE_CHECKING:
    from retrieval.matching.local_features import Features

__all__ = ["covered_share"]

_DIFFERS: Final = 0.5  # correlation of a tile
_SHOWS: Final = 8.0  # grey levels: the deviation from which a tile shows something
_PLAIN: Final = 2.5  # grey levels: the deviation below which it shows nothing
_FEWEST: Final = 3  # tiles of a block


def covered_share(a: Features, b: Features) -> float:
    """Return the share of the overlap that the largest block takes in which two pictures differ, 0 to 1.

    A caption, a sticker or a logo is such a block. What compression or blur change lies scattered, and shows little.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    best = max(evidence(a, b), key=lambda one: one.placed.agreeing, default=None)
    if best is None:
        return 0.0
    pixels = best.pixels
    more, less = pixels.contrast.max(axis=0), pixels.contrast.min(axis=0)
    with np.errstate(invalid="ignore"):
        differs = (pixels.tiles < _DIFFERS) & (more > _SHOWS)  # not where the tile is NaN
    differs |= (more > 1.5 * _SHOWS) & (less < _PLAIN)  # what is plain hides what showed something
    differs &= pixels.inside
    _, _, facts, _ = opencv().connectedComponentsWithStats(differs.astype(np.uint8), connectivity=4)
    largest = int(facts[1:, -1].max(initial=0))
    return largest / max(int(pixels.inside.sum()), 1) if largest >= _FEWEST else 0.0

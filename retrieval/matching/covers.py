"""Measure what was laid over one of two pictures: the largest block in which they differ, and small things drawn on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.matching.comparison import evidence
from retrieval.matching.opencv import opencv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.matching.local_features import Features

_DIFFERS: Final = 0.5  # correlation of a tile
_SHOWS: Final = 8.0  # grey levels: the deviation from which a tile shows something
_PLAIN: Final = 2.5  # grey levels: the deviation below which it shows nothing
_FEWEST: Final = 3  # tiles of a block

_SMOOTHED: Final = 0.7  # pixels: the deviation of the blur before pixels are compared one by one
_EDGES: Final = 0.7  # share of the rise at an edge that both pictures have, by which they may differ there
_LEAST_LEVELS: Final = 8.0  # grey levels beyond that: what compression leaves at this size is less
_NOISES: Final = 6.0  # deviations of the noise that the same pixels must differ by, too
_NOISIEST: Final = 2.2  # grey levels: with more noise, detail was lost, and edges differ everywhere
_TONES: Final = 6.0  # grey levels: where tones changed more, what was clipped looks like something drawn
_STEPS: Final = 16  # of brightness, at which tones are compared
_PIXELS: Final = 6  # of the grey copies: the fewest of something drawn
_TOGETHER: Final = 0.5  # share of the pixels that differ which lie in one place
_LETTERS: Final = (5, 9)  # rows and columns by which letters of a word may lie apart


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


def is_drawn_on(a: Features, b: Features) -> bool:
    """Say whether something small was drawn on one of two pictures that are one, such as a date, a name or a tick.

    The pictures are laid on each other and compared pixel by pixel. What is drawn differs in one place, by more than noise and more
    than edges that both have. False, too, where tones changed or detail was lost: then nothing so small can be told.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    best = max(evidence(a, b), key=lambda one: one.placed.agreeing, default=None)
    if best is None:
        return False
    cv2, size = opencv(), b.grey.shape[::-1]
    laid = cv2.warpPerspective(
        a.grey, best.pixels.matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    mask = cv2.warpPerspective(np.ones_like(a.grey), best.pixels.matrix, size, flags=cv2.INTER_NEAREST)
    inside = cv2.erode(mask, np.ones((7, 7), np.uint8), borderValue=0) > 0  # (h, w)
    if not inside.any():
        return False
    one, other = (cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTHED) for grey in (laid, b.grey))
    away = other - one
    if _tones_changed(one[inside], away[inside]):
        return False
    away -= cv2.GaussianBlur(away, (0, 0), 12)
    noise = 1.4826 * float(np.median(abs(away[inside])))
    if noise > _NOISIEST:
        return False
    square = np.ones((3, 3), np.uint8)
    edges = np.minimum(*(cv2.dilate(grey, square) - cv2.erode(grey, square) for grey in (one, other)))
    differs = (abs(away) - _EDGES * edges > max(_LEAST_LEVELS, _NOISES * noise)) & inside
    count, places = cv2.connectedComponents(cv2.dilate(differs.astype(np.uint8), np.ones(_LETTERS, np.uint8)))
    largest = int(np.bincount(places[differs], minlength=count).max())
    return largest >= max(_PIXELS, _TOGETHER * int(differs.sum()))


def _tones_changed(levels: NDArray[np.float32], away: NDArray[np.float32]) -> bool:
    """Say whether pixels of some brightness differ as a whole, by the median of each step: ``(m,)`` levels and differences."""
    order = np.argsort(levels)
    steps = np.array_split(away[order], _STEPS)
    return any(abs(float(np.median(step))) > _TONES for step in steps if len(step))

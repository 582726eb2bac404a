"""Look for parts of one picture beside their place in another: in another exposure, what disagrees has often moved."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.opencv import opencv

_DISAGREES: Final = 0.6  # correlation of a tile, below which it is looked for
_CLEAR: Final = (
    12.0  # grey levels: the deviation that a tile needs in both pictures, so that it is known again
)
_MOST: Final = 8  # tiles that are looked for
_PART: Final = 20  # pixels of the part's side
_REACH: Final = 20  # pixels to each side in which it is looked for
_FOUND: Final = 0.88  # correlation of the part with what was found
_BESIDE: Final = 2.0  # pixels, below which it has not moved


def moved_parts(
    still: NDArray[np.float32],
    warped: NDArray[np.float32],
    places: NDArray[np.int64],
    tiles: NDArray[np.float32],
    contrast: NDArray[np.float32],
) -> tuple[float, int]:
    """Return the share of clear parts that disagree and are found elsewhere, and how many were looked for.

    What was laid over a picture, as a sticker or words, hides what is below it: neither picture shows the other's part. A thing
    that moved between two exposures is in both.

    Args:
        still, warped: ``(h, w)`` grey levels of two pictures, the one laid on the other.
        places: ``(3,)`` side, left and top of the tiles.
        tiles: ``(r, c)`` correlations of the tiles.
        contrast: ``(2, r, c)`` deviations of the tiles' grey levels.
    """
    cv2 = opencv()
    with np.errstate(invalid="ignore"):
        weight = np.where(tiles < _DISAGREES, contrast.min(axis=0), 0.0)
    asked = [
        int(at) for at in np.argsort(-weight, axis=None, kind="stable")[:_MOST] if weight.flat[at] >= _CLEAR
    ]
    side, left, top = places.tolist()
    height, width = still.shape
    if not asked or min(height, width) < 2 * _PART:
        return 0.0, 0
    found = 0
    for at in asked:
        row, column = divmod(at, tiles.shape[1])
        y = int(np.clip(top + side * row + (side - _PART) // 2, 0, height - _PART))
        x = int(np.clip(left + side * column + (side - _PART) // 2, 0, width - _PART))
        y0, x0 = max(0, y - _REACH), max(0, x - _REACH)
        around = np.s_[y0 : y + _PART + _REACH, x0 : x + _PART + _REACH]
        part = np.s_[y : y + _PART, x : x + _PART]
        for one, other in ((warped, still), (still, warped)):
            scores = cv2.matchTemplate(other[around], one[part], cv2.TM_CCOEFF_NORMED)
            _, best, _, (u, v) = cv2.minMaxLoc(scores)
            if best >= _FOUND and max(abs(u + x0 - x), abs(v + y0 - y)) >= _BESIDE:
                found += 1
                break
    return found / len(asked), len(asked)

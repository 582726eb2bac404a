"""Compare small pictures of a film: which are nearly equal, and where a scene begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_EQUAL: Final = (12.0, 4.0)
"""Levels of 255 by which the most different block, and all blocks on average, of nearly equal pictures may differ.

Measured on still films: grain of 16 levels and strong compression give up to 10, light that grows by 3 % up to 10; a thing of 5 %
of the height gives 14 and more, a camera that turns by 1 % of the width 45 and more.
"""

_STRONG = (
    40  # levels; blocks that differ more count as if they differed by so much: one bright thing is no cut
)
_CUT = 20.0  # levels by which blocks differ over a cut, more than over the step before it; of two photographs, 26 and more
_CHANGED = 25.0  # levels by which blocks differ from a scene's first picture once it shows something else
_SHORTEST, _LONGEST = 0.4, 5.0  # seconds: of a scene; without a look whether the scene still shows the same


def nearly_equal(one: NDArray[np.int16], other: NDArray[np.int16]) -> bool:
    """Say whether two small pictures ``(s, s, 3)`` show the same: noise and compression differ less, things that move more."""
    difference = np.abs(one - other)
    largest, mean = MOST_EQUAL
    return bool(difference.max() <= largest and difference.mean() <= mean)


@dataclass(slots=True)
class Scenes:
    """Find where scenes begin, in one pass over a film's small pictures.

    A cut is a step between two pictures that is larger than the one before it, so that fast movement is none. A picture that
    differs from the scene's first one as much as two scenes do begins a new one, too: a dissolve, or a camera that turned.
    """

    _previous: NDArray[np.int16] | None = None
    _first: NDArray[np.int16] | None = None
    _step: float = 0.0
    _began: float = 0.0

    def begins(self, small: NDArray[np.int16], seconds: float) -> bool:
        """Take the next small picture ``(s, s, 3)``; say whether a scene begins with it."""
        if self._previous is None or self._first is None:
            self._previous = self._first = small
            self._began = seconds
            return True
        step = _difference(small, self._previous)
        cut = min(step, step - self._step) > _CUT and seconds - self._began >= _SHORTEST
        self._previous, self._step = small, step
        if not cut:
            cut = seconds - self._began >= _LONGEST and _difference(small, self._first) > _CHANGED
        if cut:
            self._first, self._began = small, seconds
        return cut


def _difference(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    return float(np.minimum(np.abs(one - other), _STRONG).mean())

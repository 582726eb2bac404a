"""Say what two pictures are to each other, and which of them shows more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Outline: TypeAlias = tuple[tuple[float, float], ...]
"""Corners of one picture in another: top left, top right, bottom right, bottom left; shares of the other's width and height."""

_SQUARE: Final = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a first picture is to a second one.

    Attributes:
        relation: ``pixels``, ``picture``, ``scene``, or ``none``.
        probability: that they are one picture.
        outline: the corners of the first in the second; None where nobody knows.
        mirrored: one is mirrored.
    """

    relation: str
    probability: float = 0.0
    outline: Outline | None = None
    mirrored: bool = False

    def reversed(self) -> Judgement:
        """Return what the second is to the first."""
        return self if self.outline is None else replace(self, outline=_inverse(self.outline))


NOTHING: Final = Judgement(relation="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """How much of each other two pictures show.

    Attributes:
        shown: share of the first that the second shows.
        covered: share of the second that the first covers.
        scale: pixels a side of the second for each pixel of the first, where both show the same.
    """

    shown: float
    covered: float
    scale: float

    @classmethod
    def of(cls, outline: Outline | None, *, first: tuple[int, int], second: tuple[int, int]) -> Overlay:
        """Measure an outline of the first in the second.

        Args:
            outline: None means that each shows all of the other.
            first: width and height of the first.
            second: those of the second.
        """
        quad = _SQUARE if outline is None else np.asarray(outline, dtype=np.float64)
        area = abs(_area(quad))
        covered = abs(_area(_clipped(quad)))
        pixels = max(first[0] * first[1], 1)
        return cls(
            shown=min(covered / max(area, _LEAST), 1.0),
            covered=covered,
            scale=float(np.sqrt(area * second[0] * second[1] / pixels)),
        )


def outside(outline: Outline, side: int) -> NDArray[np.bool_]:
    """Return which cells of a grid over the second picture the first does not cover, ``(side, side)``."""
    centres = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(centres, centres)
    quad = np.asarray(outline, dtype=np.float64)
    sign = 1.0 if _area(quad) >= 0 else -1.0
    inside = np.ones((side, side), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(quad, np.roll(quad, -1, axis=0), strict=True):
        inside &= sign * ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) >= 0
    return ~inside


def common_share(first: Outline, second: Outline) -> float:
    """Return how much of the smaller of two outlines in one picture the other covers, 0 to 1."""
    side = 64
    one, other = ~outside(first, side), ~outside(second, side)
    return float((one & other).sum() / max(min(one.sum(), other.sum()), 1))


def _area(quad: NDArray[np.float64]) -> float:
    if len(quad) < 3:
        return 0.0
    x, y = quad[:, 0], quad[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _clipped(quad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of a polygon that lies in the unit square.

    Source: I. Sutherland and G. Hodgman, "Reentrant polygon clipping", 1974.
    """
    points = [(float(x), float(y)) for x, y in quad]
    for axis, limit, sign in ((0, 0.0, 1.0), (0, 1.0, -1.0), (1, 0.0, 1.0), (1, 1.0, -1.0)):
        kept: list[tuple[float, float]] = []
        for here, after in zip(points, points[1:] + points[:1], strict=True):
            near, far = sign * (here[axis] - limit), sign * (after[axis] - limit)
            if near >= 0:
                kept.append(here)
            if (near >= 0) != (far >= 0):
                share = near / (near - far)
                kept.append((here[0] + share * (after[0] - here[0]), here[1] + share * (after[1] - here[1])))
        points = kept
        if not points:
            break
    return np.array(points).reshape(-1, 2)


def _inverse(outline: Outline) -> Outline | None:
    """Return the corners of the second picture in the first; None where the outline has no area."""
    there = _homography(_SQUARE, np.asarray(outline, dtype=np.float64))
    if there is None or abs(np.linalg.det(there)) < _LEAST:
        return None
    back: NDArray[Any] = np.c_[_SQUARE, np.ones(4)] @ np.linalg.inv(there).T
    if (np.abs(back[:, 2]) < _LEAST).any():
        return None
    return tuple((float(x), float(y)) for x, y in back[:, :2] / back[:, 2:])


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the ``(3, 3)`` map that takes four points to four others."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    try:
        found = np.linalg.solve(np.array(rows, dtype=np.float64), target.ravel())
    except np.linalg.LinAlgError:
        return None
    return np.append(found, 1.0).reshape(3, 3)

"""Choose which parts of a picture are its views."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from indexes.vectors import integer

if TYPE_CHECKING:
    from PIL.Image import Image

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height of a part of an upright picture, as shares of it."""

MOST_VIEWS: Final = 64
"""Views that an image may have."""

_LAYOUTS: Final = (
    ((0.6, 2),),
    ((0.5, 3),),
    ((0.4, 4),),
    ((0.5, 3), (0.3, 4)),
    ((0.5, 3), (0.4, 4), (0.3, 6)),
)
"""Grids of 4, 9, 16, 25 and 61 windows: their sides as shares of the picture's, and how many lie beside each other.

Measured on crops of a tenth, and on pictures of a quarter to a half of another's side. Smaller windows find smaller parts, but
too few of them leave gaps, and more windows of the other images lie near by chance.
"""


def check_views(number: Any) -> int:
    """Return a number of views an image, as it was asked for.

    Raises:
        OptionError: it is no whole number, negative, or more than `MOST_VIEWS`.
    """
    return integer(number, "views", least=0, most=MOST_VIEWS)


def windows(number: int) -> list[Box]:
    """Return so many overlapping windows: those of the largest layout that fits, then of the next one, the middle first."""
    layouts = [[box for grid in grids for box in _grid(*grid)] for grids in _LAYOUTS]
    place = max((at for at, layout in enumerate(layouts) if len(layout) <= number), default=0)
    ordered = dict.fromkeys(box for layout in (*layouts[place : place + 2], *layouts) for box in layout)
    return list(islice(ordered, number))


def smallest_side(number: int) -> float:
    """Return the side of the smallest of so many windows, as a share of the picture's."""
    return min(min(box[2:]) for box in windows(number))


def cut(picture: Image, box: Box) -> Image:
    """Return a part of a picture, at least a pixel of it."""
    x, y, width, height = box
    left = min(round(x * picture.width), picture.width - 1)
    top = min(round(y * picture.height), picture.height - 1)
    right = max(round((x + width) * picture.width), left + 1)
    bottom = max(round((y + height) * picture.height), top + 1)
    return picture.crop((left, top, min(right, picture.width), min(bottom, picture.height)))


def _grid(side: float, beside: int) -> list[Box]:
    """Return the windows of a grid, those in the middle first."""
    places = np.linspace(0, 1 - side, beside).tolist()
    grid = [(x, y, side, side) for y in places for x in places]
    return sorted(grid, key=lambda box: (box[0] + side / 2 - 0.5) ** 2 + (box[1] + side / 2 - 0.5) ** 2)

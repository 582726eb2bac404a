"""Choose which parts of a picture are its views."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from indexes.vectors import integer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

__all__ = ["MOST_VIEWS", "Box", "check_views", "cut", "smallest_side", "windows"]

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height of a part of an upright picture, as shares of it."""

MOST_VIEWS: Final = 64
"""Views that an image may have."""

_GRIDS: Final = ((0.6, 2), (0.5, 3), (0.4, 4), (0.3, 6))
"""Sides of windows as shares of the picture's, and how many lie beside each other; coarse ones first."""


def check_views(number: Any) -> int:
    """Return a number of views an image, as it was asked for.

    Raises:
        OptionError: it is no whole number, negative, or more than `MOST_VIEWS`.
    """
    return integer(number, "views", least=0, most=MOST_VIEWS)


def windows(number: int) -> list[Box]:
    """Return so many overlapping windows: whole grids, coarse ones first, and the middle of the next one."""
    return list(islice(_ordered(), number))


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


def _ordered() -> Iterator[Box]:
    for side, beside in _GRIDS:
        places = np.linspace(0, 1 - side, beside).tolist()
        grid = [(x, y, side, side) for y in places for x in places]
        # Of a grid that is cut off, what lies in the middle: most of a picture is there.
        yield from sorted(
            grid, key=lambda box: (box[0] + side / 2 - 0.5) ** 2 + (box[1] + side / 2 - 0.5) ** 2
        )

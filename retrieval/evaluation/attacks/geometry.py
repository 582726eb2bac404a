"""Move pixels: flip, rotation, crop, resize, border."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image as Picture

    Attack = Callable[[Picture, np.random.Generator], Picture]


def flip(image: Picture, _: np.random.Generator) -> Picture:
    """Mirror from left to right."""
    return ImageOps.mirror(image)


def rotation(degrees: float, *, expand: bool = True) -> Attack:
    """Turn about the centre, the corners black.

    Args:
        degrees: against the clock.
        expand: on a canvas that holds the whole; without it the canvas keeps its size, and corners are cut.
    """
    if degrees == 90:
        return lambda image, _: image.transpose(Image.Transpose.ROTATE_90)
    return lambda image, _: image.rotate(degrees, Image.Resampling.BICUBIC, expand=expand)


def crop(area: float) -> Attack:
    """Keep the middle, of this share of the area."""

    def apply(image: Picture, _: np.random.Generator) -> Picture:
        width, height = _sides(image, area)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    return apply


def part(area: float) -> Attack:
    """Keep a part of this share of the area, anywhere."""

    def apply(image: Picture, rng: np.random.Generator) -> Picture:
        width, height = _sides(image, area)
        left = int(rng.integers(image.width - width + 1))
        top = int(rng.integers(image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    return apply


def resize(area: float) -> Attack:
    """Make it smaller, to this share of the area."""
    return lambda image, _: image.resize(_sides(image, area), Image.Resampling.BICUBIC)


def square(side: int) -> Attack:
    """Squash it to a square of so many pixels a side."""
    return lambda image, _: image.resize((side, side), Image.Resampling.BICUBIC)


def border(image: Picture, rng: np.random.Generator) -> Picture:
    """Put a border of one colour around, 5 to 25 % of the short side wide."""
    width = max(1, round(min(image.size) * float(rng.uniform(0.05, 0.25))))
    grey = int(rng.choice([0, 128, 255]))
    colour = (grey, grey, grey) if rng.random() < 0.5 else tuple(int(c) for c in rng.integers(0, 256, 3))
    return ImageOps.expand(image, width, colour)


def _sides(image: Picture, area: float) -> tuple[int, int]:
    width, height = (max(1, round(math.sqrt(area) * side)) for side in image.size)
    return width, height

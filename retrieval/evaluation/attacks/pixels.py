"""Alter pixels where they are: contrast, brightness, hue, grey, blur, JPEG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image as Picture

    Attack = Callable[[Picture, np.random.Generator], Picture]


def reencoded(image: Picture, quality: int) -> Picture:
    """Return the image as a JPEG of this quality shows it, chroma at half size as most programs write it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as copy:
        return copy.convert("RGB")


def none(image: Picture, _: np.random.Generator) -> Picture:
    """Return the image."""
    return image


def contrast(factor: float) -> Attack:
    """Change the contrast by a factor."""
    return lambda image, _: ImageEnhance.Contrast(image).enhance(factor)


def brightness(factor: float) -> Attack:
    """Change the brightness by a factor."""
    return lambda image, _: ImageEnhance.Brightness(image).enhance(factor)


def hue(turn: float) -> Attack:
    """Turn every hue by a share of the colour circle."""

    def apply(image: Picture, _: np.random.Generator) -> Picture:
        turned, saturation, value = image.convert("HSV").split()
        shifted = Image.fromarray(np.asarray(turned) + np.uint8(round(turn * 256) % 256))
        return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")

    return apply


def grey(image: Picture, _: np.random.Generator) -> Picture:
    """Take the colours away."""
    return image.convert("L").convert("RGB")


def blur(share: float) -> Attack:
    """Blur by a Gaussian; its deviation is a share of the short side."""
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def jpeg(quality: int) -> Attack:
    """Save as a JPEG of this quality."""
    return lambda image, _: reencoded(image, quality)

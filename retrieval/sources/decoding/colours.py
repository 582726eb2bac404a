"""Convert decoded images of every mode to upright 8-bit RGB; giant ones band by band, at a smaller size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from retrieval.sources.decoding.file_formats import extremes, sample_range, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.sources.decoding.file_formats import Page

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_WHITE = (255, 255, 255)
_WHITE_IS_ZERO = 0
_BAND = 1 << 20  # pixels that are converted at a time


def mode_bytes(mode: str) -> int:
    """Return how many bytes Pillow holds for a pixel."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


def conversion_bytes(mode: str, *, turned: bool, transparent: bool) -> int:
    """Return how many bytes a pixel takes at most, beside the decoded image, while it is converted at full size."""
    straight = 0 if mode == "RGB" and not transparent else 4
    paper = 5 if transparent or mode in ("LA", "La", "PA", "RGBA", "RGBa") else 0
    copied = mode_bytes(mode) + 1 if _deep(mode) else 0
    return straight + paper + copied + (mode_bytes(mode) if turned else 0)


def rgb(
    image: Image.Image, *, page: Page | None = None, limits: tuple[float, float] | None = None
) -> Image.Image:
    """Return a loaded image as 8-bit RGB, what is transparent over white.

    Args:
        image: in any mode; returned itself if it is RGB already.
        page: of the TIFF file that it comes from.
        limits: black and white of deep samples, if ``image`` is a part of another.
    """
    if _deep(image.mode):
        image = _eight_bits(image, page, limits or deep_range(image, page))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    premultiplied = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    rgba = (image if premultiplied is None else image.convert(premultiplied)).convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert("RGB")
    paper = Image.new("RGB", rgba.size, _WHITE)
    paper.paste(rgba, mask=alpha)
    return paper


def reduced(image: Image.Image, factor: int, *, page: Page | None = None) -> Image.Image:
    """Return `rgb` of an image at a whole fraction of its size: each pixel is the mean of ``factor`` squared ones.

    Beside the image itself only a band of it is held at a time.
    """
    limits = deep_range(image, page) if _deep(image.mode) else None
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top, band in _bands(image, factor):
        small.paste(rgb(band, page=page, limits=limits).reduce(factor), (0, top // factor))
    return small


def deep_range(image: Image.Image, page: Page | None) -> tuple[float, float]:
    """Return black and white of an image in mode I, F or I;16: as `sample_range` says, but all 16 bits outside of TIFF."""
    if page is None and image.mode.startswith("I;16"):
        return 0.0, 65535.0
    least, greatest, kind = np.inf, -np.inf, "f"
    for _top, band in _bands(image, 1):
        values = np.asarray(band)
        kind = values.dtype.kind
        low, high = extremes(values)
        least, greatest = min(least, low), max(greatest, high)
    bits = 16 if image.mode.startswith("I;16") else 32
    return sample_range(least, greatest, kind=kind, bits=bits, declared=page.declared if page else None)


def _deep(mode: str) -> bool:
    return mode in ("I", "F") or mode.startswith("I;16")


def _bands(image: Image.Image, factor: int) -> Iterator[tuple[int, Image.Image]]:
    rows = factor * max(1, _BAND // (factor * image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _eight_bits(image: Image.Image, page: Page | None, limits: tuple[float, float]) -> Image.Image:
    """Return a deep grey image in eight bits, with an alpha channel if one of its values means transparent."""
    values = np.asarray(image)  # (h, w)
    inverted = page is not None and page.colours == _WHITE_IS_ZERO
    grey = Image.fromarray(scaled(values, *limits, inverted=inverted))
    transparent: Any = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey

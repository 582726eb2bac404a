"""Read of an image's pixels what tells that it is blurry, dark, light, empty or grey."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from retrieval.sources.decoding import MAX_PIXELS, loaded, quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.sources.decoding import OpenedFile

VERSION: Final = 1
"""Raised when a fact is computed another way, so that kept ones are read anew."""

_DECODE: Final = 256
_LONG_SIDE: Final = 512
"""Pixels at which facts are read: sharpness is that of the picture as a screen shows it."""
_INFORMATION_SIDE: Final = 64
"""Pixels at which noise is gone and what is shown is left."""
_SIDEWAYS: Final = 5
_WINDOW: Final = 9
_BRIGHT: Final = 99.0
_DIM: Final = 5.0
_COLOURED: Final = 99.5
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFacts:
    """What is known of an image's pixels.

    Attributes:
        width, height: of the upright image.
        bright: brightness that 1 % of the pixels exceed, 0 to 1.
        dim: brightness that 5 % of the pixels fall below, 0 to 1.
        information: entropy of the differences between neighbouring pixels at 64 pixels a side, in bits.
        blur: share of the fine changes of brightness that a strong blur leaves as they are, 0 to 1; high where there was nothing fine.
        colour: distance of the highest from the lowest of red, green and blue, 0 to 255, that 0.5 % of the pixels exceed.
    """

    width: int
    height: int
    bright: float
    dim: float
    information: float
    blur: float
    colour: int

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        return json.dumps({"version": VERSION, **asdict(self)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PixelFacts | None:
        """Read what `to_bytes` wrote; None for what another version wrote, or damage."""
        try:
            facts: dict[str, Any] = json.loads(data)
            return cls(**facts) if facts.pop("version") == VERSION else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def read_pixel_facts(data: bytes, *, name: str) -> PixelFacts:
    """Decode an image, small, and read its facts.

    Args:
        data: of the file.
        name: what messages call it.
    Raises:
        ImageError: it cannot be read.
    """
    sizes: list[tuple[int, int]] = []

    def examine(opened: OpenedFile) -> None:
        sizes.append(opened.size)

    with (
        quiet(),
        loaded(data, decode_size=_DECODE, max_pixels=MAX_PIXELS, name=name, examine=examine) as image,
    ):
        turned = _SIDEWAYS <= image.orientation <= _SIDEWAYS + 3
        shown = image.shown()
    width, height = sizes[0][::-1] if turned else sizes[0]
    return facts_of_pixels(shown, width=width, height=height)


def facts_of_pixels(image: Image.Image, *, width: int, height: int) -> PixelFacts:
    """Return the facts of an upright RGB image of a file with ``width × height`` pixels."""
    if max(image.size) > _LONG_SIDE:
        image = image.copy()
        image.thumbnail((_LONG_SIDE, _LONG_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(image)  # (h, w, 3)
    grey = np.asarray(image.convert("L"), dtype=np.float32)  # (h, w)
    dim, bright = np.percentile(grey, (_DIM, _BRIGHT))
    return PixelFacts(
        width=width,
        height=height,
        bright=round(float(bright) / 255, 4),
        dim=round(float(dim) / 255, 4),
        information=round(_information(image), 4),
        blur=round(_blur(grey), 4),
        colour=int(np.percentile(np.ptp(pixels, axis=2), _COLOURED)),
    )


def _information(image: Image.Image) -> float:
    small = image.convert("L")
    small.thumbnail((_INFORMATION_SIDE, _INFORMATION_SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.int16)  # (h, w)
    steps = np.concatenate([np.diff(grey, axis=axis).ravel() for axis in (0, 1)])
    if not len(steps):
        return 0.0
    shares = np.bincount(steps + 255, minlength=511) / len(steps)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0.0


def _blur(grey: NDArray[np.float32]) -> float:
    """Return how blurred a picture is, 0 to 1.

    Source: F. Crété, T. Dolmiere, P. Ladret, M. Nicolas, "The blur effect: perception and estimation with a new no-reference
    perceptual blur metric", 2007.
    """
    return max(_blur_along(grey), _blur_along(grey.T))


def _blur_along(grey: NDArray[np.float32]) -> float:
    """Return the blur along the first axis: blurring what is sharp changes it, and what is blurred hardly."""
    if len(grey) <= _WINDOW:
        return 0.0
    sums = np.cumsum(np.pad(grey, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    smooth = (sums[_WINDOW:] - sums[:-_WINDOW]) / _WINDOW  # (h - 8, w)
    edge = _WINDOW // 2
    steps = np.abs(np.diff(grey[edge : len(grey) - edge], axis=0))
    left = np.maximum(steps - np.abs(np.diff(smooth, axis=0)), 0).sum()
    total = steps.sum(dtype=np.float64)
    return float(1 - left / total) if total > _LEAST else 0.0

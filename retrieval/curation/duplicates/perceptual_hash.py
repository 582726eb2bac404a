"""Hash what a picture looks like: a difference hash and a DCT hash, of the picture and of its mirror image.

Source: difference hash, N. Krawetz, 2013; DCT hash, C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BITS", "distance", "picture_hash"]

_SIDE: Final = 16
BITS: Final = 2 * _SIDE * _SIDE
"""Bits of a hash of one picture: half from differences, half from the cosine transform."""

_GREY: Final = 64


def picture_hash(image: Image.Image) -> bytes:
    """Return the hash of an RGB picture, then that of its mirror image: 64 bytes each."""
    grey = image.convert("L")
    return _hash(grey) + _hash(ImageOps.mirror(grey))


def distance(first: bytes, second: bytes) -> tuple[float, bool]:
    """Return the share of bits in which two pictures differ, 0 to 1, and whether one mirrored is the closer."""
    half = len(first) // 2
    plain = _share(first[:half], second[:half])
    mirrored = _share(first[:half], second[half:])
    return (mirrored, True) if mirrored < plain else (plain, False)


def _share(first: bytes, second: bytes) -> float:
    return (int.from_bytes(first) ^ int.from_bytes(second)).bit_count() / BITS


def _hash(grey: Image.Image) -> bytes:
    box = Image.Resampling.BOX
    small = np.asarray(grey.resize((_SIDE + 1, _SIDE), box), dtype=np.int16)  # (16, 17)
    differences = small[:, 1:] > small[:, :-1]  # (16, 16)
    pixels = np.asarray(grey.resize((_GREY, _GREY), box), dtype=np.float32)
    cosines = _transform() @ pixels @ _transform().T  # (16, 16)
    flat = cosines.ravel()[1:]  # without the mean brightness
    above = np.append(flat > np.median(flat), False)
    return np.packbits(np.concatenate([differences.ravel(), above])).tobytes()


@cache
def _transform() -> NDArray[np.float32]:
    """Return the first rows of the cosine transform, ``(16, 64)``."""
    rows, columns = np.arange(_SIDE)[:, None], np.arange(_GREY)[None, :]
    cosines: NDArray[np.float32] = np.cos(np.pi / _GREY * (columns + 0.5) * rows).astype(np.float32)
    return cosines

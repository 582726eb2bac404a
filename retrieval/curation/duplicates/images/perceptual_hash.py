"""Hash what a picture looks like: a difference hash and a DCT hash, of the picture in all eight positions.

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

_SIDE: Final = 16
BITS: Final = 2 * _SIDE * _SIDE
"""Bits of a hash of one picture: half from differences, half from the cosine transform."""

_GREY: Final = 64


def picture_hash(image: Image.Image) -> bytes:
    """Return the hashes of an RGB picture in its eight positions, 64 bytes each: four quarter turns, then those of its mirror image."""
    grey = image.convert("L")
    turns = Image.Transpose
    upright = [
        grey,
        *(grey.transpose(turn) for turn in (turns.ROTATE_90, turns.ROTATE_180, turns.ROTATE_270)),
    ]
    return b"".join(map(_hash, [*upright, *map(ImageOps.mirror, upright)]))


def distance(first: bytes, second: bytes) -> tuple[float, bool]:
    """Return the share of bits in which two pictures differ, 0 to 1, in the closest position, and whether that is mirrored."""
    size = BITS // 8
    plain = first[:size]
    shares = [_share(plain, second[at : at + size]) for at in range(0, len(second), size)]
    best = min(range(len(shares)), key=shares.__getitem__)
    return shares[best], best >= len(shares) // 2


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

"""Convert decoded frames of a film to upright RGB pictures in the film's own shape and colours."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from retrieval.sources.decoding import UPRIGHT

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

_UNSPECIFIED, _BT709, _BT470BG = 2, 1, 5  # ISO/IEC 23091-2, matrix coefficients
_BT2020 = 9  # primaries, and the matrix of high dynamic range
_HIGH_RANGE, _SRGB = (16, 18), 13  # transfer characteristics: SMPTE ST 2084 and ARIB STD-B67; IEC 61966-2-1
_HD_LINES, _HD_COLUMNS = 577, 1280
_ODDEST = 4  # shape of a pixel that is believed

LARGEST: Final = 1920 * 1088
"""Pixels of a picture; a larger frame is made smaller by a whole number, so that many pictures fit into memory."""

SIDE: Final = 32
"""Width and height of the small pictures that are compared."""

# The upper left of a display matrix, its signs -> orientation as EXIF has it.
_TURNS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


def picture(frame: Any, aspect: Fraction | None = None) -> Image.Image:
    """Return a frame as upright RGB with square pixels, of at most `LARGEST` of them.

    Args:
        frame: decoded.
        aspect: width of a pixel through its height, as the film states it.
    """
    width, height = _shown_size(frame.width, frame.height, aspect)
    factor = math.ceil(math.sqrt(width * height / LARGEST))
    width, height = max(1, width // factor), max(1, height // factor)
    _state_matrix(frame)
    if frame.interlaced_frame and frame.height > 1:
        image = _field(frame).resize((width, height), Image.Resampling.BICUBIC)
    else:
        way = "BICUBIC" if factor == 1 else "AREA"
        converted = frame.reformat(
            width=width, height=height, format="rgb24", interpolation=way, **_display(frame)
        )
        image = Image.fromarray(converted.to_ndarray())
    turn = UPRIGHT.get(orientation_of(frame))
    return image if turn is None else image.transpose(turn)


def small(frame: Any) -> NDArray[np.int16]:
    """Return a frame's mean colours: ``(SIDE, SIDE, 3)`` RGB, 0 to 255, neither turned nor in shape."""
    _state_matrix(frame)
    converted = frame.reformat(
        width=SIDE, height=SIDE, format="rgb24", interpolation="AREA", **_display(frame)
    )
    array: NDArray[np.int16] = converted.to_ndarray().astype(np.int16)
    return array


def _field(frame: Any) -> Image.Image:
    """Return every other line of an interlaced frame: the lines between were taken at another moment."""
    return Image.fromarray(frame.reformat(format="rgb24", **_display(frame)).to_ndarray()[::2])


def _display(frame: Any) -> dict[str, int]:
    """Return what converts a frame of high dynamic range to a display's colours; nothing for others.

    What is brighter than white, 203 cd/m², becomes white.
    """
    if frame.color_trc not in _HIGH_RANGE:
        return {}
    if frame.color_primaries == _UNSPECIFIED:
        frame.color_primaries = _BT2020
    return {"dst_color_trc": _SRGB, "dst_color_primaries": _BT709}


def orientation_of(frame: Any) -> int:
    """Return the orientation that a frame's display matrix states, 1 to 8 as in EXIF; of odd angles the nearest."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("=5i", bytes(side)[:20])
            largest = max(abs(value) for value in (a, b, c, d)) or 1
            signs = tuple(round(value / largest) for value in (a, b, c, d))
            return _TURNS.get(signs, 1)
    return 1


def _shown_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height with square pixels; nothing is made smaller."""
    if not aspect or aspect == 1 or not 1 / _ODDEST <= aspect <= _ODDEST:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _state_matrix(frame: Any) -> None:
    """State the colour matrix of a frame that states none, as players guess it: BT.709 for high definition, else BT.601."""
    if frame.colorspace == _UNSPECIFIED and frame.color_trc in _HIGH_RANGE:
        frame.colorspace = _BT2020
    elif frame.colorspace == _UNSPECIFIED:
        high = frame.height >= _HD_LINES or frame.width >= _HD_COLUMNS
        frame.colorspace = _BT709 if high else _BT470BG

"""Scale samples of more than 8 bits, signed samples and floating-point samples to 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BAND = 1 << 18  # samples that are scaled at a time
_WIDTHS = (8, 10, 12, 14, 16)
_TOPS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # of 8, 10, 12, 14 and 16 bits


def sample_range(
    least: float, greatest: float, *, kind: str, bits: int, declared: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Return the values that mean black and white.

    The first of these that applies:

    1. the range that the file declares, if it holds all values;
    2. samples of at most 15 bits: all that these bits can say;
    3. the smallest of the ranges 1 (floats only), 255, 1023, 4095, 16383, 65535 that holds all values, since cameras,
       microscopes and scanners store 10, 12 and 14 bits in 16; for deeper integers also all that their bits can say;
       but only if the values fill at least a quarter of it; for integers below zero the ranges of as many bits with half
       of each below zero, if the values fill at least half of it;
    4. from the least to the greatest value.

    Args:
        least, greatest: of the whole image, colours only, as `extremes` gives them.
        kind: of the samples, as numpy has it: ``b``, ``u``, ``i`` or ``f``.
        bits: of a sample as the file states them.
        declared: as the file states it.
    """
    if declared is not None and declared[0] <= least and greatest <= declared[1]:
        return declared
    if kind == "b":
        return 0.0, 1.0
    if kind == "u" and bits < 16 and greatest < 1 << bits:
        return 0.0, float((1 << bits) - 1)
    if kind == "i" and bits < 16:
        return float(-(1 << (bits - 1))), float((1 << (bits - 1)) - 1)
    if least < 0 and kind == "i":
        width = next(
            width for width in (*_WIDTHS, bits) if -(1 << width - 1) <= least and greatest < 1 << width - 1
        )
        if greatest - least > (1 << width) / 2:
            return float(-(1 << width - 1)), float((1 << width - 1) - 1)
    if least >= 0:
        tops = (1.0, *_TOPS) if kind == "f" else _TOPS
        if kind != "f" and bits > 16:
            tops = (*tops, float((1 << (bits - (kind == "i"))) - 1))
        top = next((top for top in tops if greatest <= top), None)
        if top is not None and (greatest > top / 4 or least == greatest):
            return 0.0, top
    return least, greatest


def scaled(values: NDArray[Any], low: float, high: float, *, inverted: bool = False) -> NDArray[np.uint8]:
    """Return the values as 8 bits, ``low`` as 0 and ``high`` as 255, or the other way round; what is no number as black."""
    result = np.empty(values.shape, np.uint8)
    flat, out = values.reshape(len(values), -1), result.reshape(len(values), -1)
    rows = max(1, _BAND // max(1, flat.shape[1]))
    double = values.dtype.itemsize > 4 or (values.dtype.kind in "iu" and values.dtype.itemsize > 2)
    real = np.float64 if double or max(abs(low), abs(high)) > 1e30 else np.float32
    span = high / 2 - low / 2  # halves, so that nothing overflows
    gain = 255 / span if span > 0 else 0.0
    for begin in range(0, len(flat), rows):
        band: NDArray[Any] = flat[begin : begin + rows].astype(real)
        finite = np.isfinite(band) if values.dtype.kind == "f" else None
        if finite is not None:
            band[~finite] = low
        np.multiply(band, 0.5, out=band)
        np.subtract(band, low / 2, out=band)
        np.multiply(band, gain, out=band)
        np.rint(band, out=band)
        np.clip(band, 0, 255, out=band)
        if inverted:
            np.subtract(255, band, out=band)
        if finite is not None:
            band[~finite] = 0
        out[begin : begin + rows] = band
    return result


def extremes(values: NDArray[Any]) -> tuple[float, float]:
    """Return the least and the greatest finite value, 0 and 0 if there is none."""
    if values.dtype.kind != "f":
        return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    least, greatest = np.inf, -np.inf
    flat = values.reshape(len(values), -1)
    rows = max(1, _BAND // max(1, flat.shape[1]))
    for begin in range(0, len(flat), rows):
        band = flat[begin : begin + rows]
        band = band[np.isfinite(band)]
        if band.size:
            least, greatest = min(least, float(band.min())), max(greatest, float(band.max()))
    return (least, greatest) if least <= greatest else (0.0, 0.0)

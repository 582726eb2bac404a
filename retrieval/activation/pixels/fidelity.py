"""Measure how far a picture is from another: PSNR, SSIM, largest difference.

Wang, Bovik, Sheikh and Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity". The
tests hold these functions to scikit-image's `peak_signal_noise_ratio` and `structural_similarity` with
``data_range=255`` and all channels; scikit-image itself is only needed there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from retrieval.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"
"""``(h, w, 3)`` RGB, 0 to 255."""

RANGE = 255.0
WINDOW = 7  # pixels a side
STABILISERS = ((0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2)


def psnr(one: Pixels, other: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB, infinite for equal pictures.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape(one, other)
    error = float(np.mean(np.square(one.astype(np.float64) - other.astype(np.float64))))
    return math.inf if error == 0 else 10 * math.log10(RANGE**2 / error)


def linf(one: Pixels, other: Pixels) -> int:
    """Return the largest difference of any pixel in any channel, 0 to 255.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape(one, other)
    return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())


def ssim(one: Pixels, other: Pixels) -> float:
    """Return the structural similarity, 1 for equal pictures: the mean over 7 x 7 windows and channels.

    A picture of less than 7 pixels a side is compared in the largest windows of an odd side that fit.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape(one, other)
    side = min(WINDOW, (min(one.shape[:2]) - 1) // 2 * 2 + 1)
    count = side * side
    unbiased = count / (count - 1) if count > 1 else 1.0
    values = []
    for channel in range(one.shape[2]):
        x = one[..., channel].astype(np.float64)  # (h, w)
        y = other[..., channel].astype(np.float64)
        mean_x, mean_y = _means(x, side), _means(y, side)  # (h - side + 1, w - side + 1)
        var_x = unbiased * (_means(x * x, side) - mean_x * mean_x)
        var_y = unbiased * (_means(y * y, side) - mean_y * mean_y)
        covariance = unbiased * (_means(x * y, side) - mean_x * mean_y)
        c1, c2 = STABILISERS
        above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        values.append(float((above / below).mean()))
    return float(np.mean(values))


def _means(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the mean of every window that lies inside: ``(h, w)`` to ``(h - side + 1, w - side + 1)``."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0), axis=1, out=sums[1:, 1:])
    windows = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    means: NDArray[np.float64] = windows / (side * side)
    return means


def _same_shape(one: Pixels, other: Pixels) -> None:
    if one.shape != other.shape or one.ndim != 3:
        raise ShapeError(f"expected two (h, w, 3) pictures of one size, got {one.shape} and {other.shape}")

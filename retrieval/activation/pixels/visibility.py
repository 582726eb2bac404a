"""Compute the just-noticeable difference of each pixel.

Luminance adaptation and contrast masking after Chou and Li 1995 and Wu et al. 2017 ("Enhanced just noticeable difference
model for images with pattern complexity"), combined as in active indexing (Fernandez et al. 2023, arXiv 2210.10620).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.activation.pixels.fidelity import Pixels

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the luminance (ITU-R BT.601)."""

FLOOR = 5.0  # grey levels: nobody sees less anywhere
OVERLAP = 0.3  # of the two effects, where both are at work
ADAPTATION = np.array(
    [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 0, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]], dtype=np.float32
)
SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=np.float32)


def noticeable(pixels: Pixels) -> NDArray[np.float32]:
    """Return the least change of luminance that shows at each pixel, ``(h, w)`` in grey levels of 255.

    Dark and very bright surroundings hide more than middle grey; edges and texture hide more than even areas.
    """
    luma = pixels.astype(np.float32) @ np.array(LUMA, dtype=np.float32)  # (h, w)
    around = _correlate(luma, ADAPTATION / ADAPTATION.sum())  # (h, w)
    dark = 17 * (1 - np.sqrt(around / 127 + 1e-3)) + 3
    bright = 3 / 128 * (around - 127) + 3
    adaptation = np.where(around <= 127, dark, bright)
    slope = np.hypot(_correlate(luma, SOBEL), _correlate(luma, SOBEL.T.copy()))  # (h, w)
    masking = 0.117 * 16 * slope**2.4 / (slope**2 + 26**2)
    both = adaptation + masking - OVERLAP * np.minimum(adaptation, masking)
    map_: NDArray[np.float32] = np.maximum(both, FLOOR).astype(np.float32)
    return map_


def _correlate(image: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlate ``(h, w)`` with a small odd kernel; the picture's border is continued outwards."""
    reach = kernel.shape[0] // 2
    padded = np.pad(image, reach, mode="edge")
    result = np.zeros_like(image)
    for (y, x), weight in np.ndenumerate(kernel):
        if weight:
            result += weight * padded[y : y + image.shape[0], x : x + image.shape[1]]
    return result

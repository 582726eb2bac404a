"""Make another exposure of a photograph's scene: the camera moved a little, something moved, the light changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Image as Picture

from tools.fit_matching.alterations import Draw


def another_exposure(image: Picture, rng: Draw, *, still: bool = False) -> Picture:
    """Return what a camera may have seen a moment later.

    Near and far things move apart (a smooth field of shifts with one step in it), a part in the middle moves by itself,
    the light changes smoothly over the picture, and the noise is new.

    Args:
        image: the first exposure.
        rng: says what moved, and how.
        still: the camera was held nearly still, so that little moves but those parts.
    """
    pixels = np.asarray(image, np.float32)  # (h, w, 3)
    height, width = pixels.shape[:2]
    short = min(height, width)
    strength = short * (rng.uniform(0.0, 0.012) if still else rng.uniform(0.012, 0.06))
    depth = _smooth(rng, height, width, cells=3) + (_smooth(rng, height, width, cells=4) > 0.3)
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x = x + strength * np.cos(angle) * depth + short * rng.normal(0, 0.02)
    y = y + strength * np.sin(angle) * depth * 0.6 + short * rng.normal(0, 0.02)
    for _ in range(int(rng.integers(1, 4))):  # things that move
        middle = rng.uniform(0.1, 0.9, 2) * (width, height)
        size = short * rng.uniform(0.1, 0.35)
        near = np.exp(-((((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * size**2)) ** 2))
        x += near * short * rng.uniform(-0.2, 0.2)
        y += near * short * rng.uniform(-0.1, 0.1)
    moved = _sampled(pixels, x, y)
    light = np.exp(rng.normal(0, 0.1) + 0.12 * _smooth(rng, height, width, cells=2))[..., None]
    noise = rng.normal(0, rng.uniform(1, 5), moved.shape)
    return Image.fromarray(np.clip(moved * light + noise, 0, 255).astype(np.uint8))


def _smooth(rng: Draw, height: int, width: int, *, cells: int) -> NDArray[np.float32]:
    """Return a smooth field of about unit spread."""
    coarse = Image.fromarray(rng.normal(0, 1, (cells + 1, cells + 1)).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def _sampled(
    pixels: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    height, width = pixels.shape[:2]
    x, y = np.clip(x, 0, width - 1.001), np.clip(y, 0, height - 1.001)
    left, top = x.astype(int), y.astype(int)
    u, v = (x - left)[..., None], (y - top)[..., None]
    above = pixels[top, left] * (1 - u) + pixels[top, left + 1] * u
    below = pixels[top + 1, left] * (1 - u) + pixels[top + 1, left + 1] * u
    return np.asarray(above * (1 - v) + below * v)

"""Apply random differentiable edits (crop, blur, compression), so that activation survives them.

Each takes ``(1, 3, h, w)`` in [0, 1] and a generator of its strength, and returns an image of any size in [0, 1].
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_LUMINANCE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMINANCE = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    + "99 " * 32
)
_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
BAR = 0.7  # of the height: an upright screen that shows a wide picture has such bars


def crop(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Keep 40 to 100 % of the area, anywhere."""
    side = math.sqrt(rng.uniform(0.4, 1.0))
    height, width = (max(1, round(side * size)) for size in image.shape[-2:])
    top, left = (
        int(rng.integers(0, size - kept + 1))
        for size, kept in zip(image.shape[-2:], (height, width), strict=True)
    )
    return image[..., top : top + height, left : left + width]


def resize(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shrink to 25 to 100 % of the area."""
    side = math.sqrt(rng.uniform(0.25, 1.0))
    height, width = (max(1, round(side * size)) for size in image.shape[-2:])
    return F.interpolate(image, size=(height, width), mode="area")


def blur(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur by a Gaussian of 0.3 to 1.2 % of the short side."""
    sigma = max(0.3, rng.uniform(0.003, 0.012) * min(image.shape[-2:]))
    reach = max(1, min(math.ceil(3 * sigma), *(size - 1 for size in image.shape[-2:])))
    if min(image.shape[-2:]) <= reach:
        return image
    x = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)  # (3, 1, 1, 2 reach + 1)
    image = F.conv2d(F.pad(image, (reach, reach, 0, 0), mode="reflect"), kernel, groups=3)
    return F.conv2d(F.pad(image, (0, 0, reach, reach), mode="reflect"), kernel.transpose(2, 3), groups=3)


def jpeg(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Compress as JPEG of quality 40 to 90 does, chroma at half size; rounding is followed by a cubic.

    Shin and Song 2017, "JPEG-resistant adversarial images": ``round(x) + (x - round(x))^3`` has no gradient where
    quantisation takes everything, and some where a little more would survive.
    """
    quality = int(rng.integers(40, 91))
    height, width = image.shape[-2:]
    to_ycbcr = _to_ycbcr(image)
    planes = _recoloured(image, to_ycbcr) * 255  # (1, 3, h, w), luma 0 to 255, chroma around 0
    planes = F.pad(planes, (0, -width % 16, 0, -height % 16), mode="replicate")
    luma = _quantised(planes[:, :1] - 128, _table(_LUMINANCE, quality)) + 128
    chroma = _quantised(F.avg_pool2d(planes[:, 1:], 2), _table(_CHROMINANCE, quality))
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    planes = torch.cat([luma, chroma], dim=1)[..., :height, :width]  # (1, 3, h, w)
    return (_recoloured(planes, torch.linalg.inv(to_ycbcr)) / 255).clamp(0, 1)


def light(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change contrast, about the mean, and brightness by factors of 1/2 to 2."""
    contrast, brightness = np.exp2(rng.uniform(-1, 1, size=2))
    grey = image.mean()
    return (((image - grey) * float(contrast) + grey) * float(brightness)).clamp(0, 1)


def tint(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Turn every hue by up to a quarter of the colour circle, keeping the luma."""
    angle = 2 * math.pi * rng.uniform(-0.25, 0.25)
    to_ycbcr = _to_ycbcr(image)
    rotation = torch.eye(3, dtype=image.dtype, device=image.device)
    rotation[1:, 1:] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return _recoloured(image, torch.linalg.inv(to_ycbcr) @ rotation @ to_ycbcr).clamp(0, 1)


def frame(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Add bars of one grey above and below, as captions and screenshots do, each up to `BAR` of the height."""
    above, below = (int(part * image.shape[-2]) for part in rng.uniform(0, BAR, size=2))
    return F.pad(image, (0, 0, above, below), value=float(rng.uniform(0, 1)))


def turn(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Turn by a right angle, or by up to 30 degrees on a canvas that holds the whole, its corners black."""
    if rng.integers(2):
        return torch.rot90(image, 1 if rng.integers(2) else -1, dims=(-2, -1))
    angle = math.radians(rng.uniform(-30, 30))
    cosine, sine = math.cos(angle), math.sin(angle)
    height, width = image.shape[-2:]
    tall = math.ceil(abs(width * sine) + height * cosine)
    wide = math.ceil(width * cosine + abs(height * sine))
    # From the canvas's coordinates, -1 to 1 along each side, back to the image's.
    matrix = [
        [cosine * wide / width, sine * tall / width, 0.0],
        [-sine * wide / height, cosine * tall / height, 0.0],
    ]
    affine = torch.tensor([matrix], dtype=image.dtype, device=image.device)
    grid = F.affine_grid(affine, [1, 3, tall, wide], align_corners=False)
    return F.grid_sample(image, grid, mode="bilinear", align_corners=False)


TRANSFORMATIONS: tuple[Callable[[torch.Tensor, np.random.Generator], torch.Tensor], ...] = (
    crop,
    blur,
    jpeg,
    resize,
    light,
    frame,
    turn,
    tint,
)


def _to_ycbcr(image: torch.Tensor) -> torch.Tensor:
    """Return the matrix from RGB to luma and chroma, ``(3, 3)``, where the image is."""
    return torch.tensor(_YCBCR, dtype=image.dtype, device=image.device)


def _recoloured(image: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Multiply each pixel's three channels by a matrix."""
    return torch.einsum("oc,bchw->bohw", matrix, image)


def _quantised(planes: torch.Tensor, table: NDArray[np.float32]) -> torch.Tensor:
    """Quantise the cosine transform of each 8 x 8 block of ``(1, c, h, w)``, sides being multiples of 8."""
    cosines = torch.from_numpy(_cosines()).to(planes)  # (8, 8)
    steps = torch.from_numpy(table).to(planes)  # (8, 8)
    batch, channels, height, width = planes.shape
    blocks = planes.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)  # (..., 8, 8)
    scaled = (cosines @ blocks @ cosines.T) / steps
    whole = scaled.detach().round()
    rounded = whole + (scaled - whole) ** 3
    blocks = cosines.T @ (rounded * steps) @ cosines
    return blocks.transpose(3, 4).reshape(batch, channels, height, width)


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """Return the orthonormal DCT-II of length 8."""
    k, n = np.mgrid[0:8, 0:8]
    matrix = np.sqrt(2 / 8) * np.cos(np.pi * (2 * n + 1) * k / 16)
    matrix[0] = np.sqrt(1 / 8)
    cosines: NDArray[np.float32] = matrix.astype(np.float32)
    return cosines


@lru_cache(maxsize=256)
def _table(base: str, quality: int) -> NDArray[np.float32]:
    """Scale a table of ITU-T T.81, Annex K, as the Independent JPEG Group does."""
    values = np.array(base.split(), dtype=np.float64).reshape(8, 8)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return np.clip(np.floor((values * scale + 50) / 100), 1, 255).astype(np.float32)

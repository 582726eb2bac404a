"""Make pictures with enough detail to be told apart."""

from __future__ import annotations

import numpy as np
from PIL import Image


def photograph(seed: int, *, width: int = 240, height: int = 180) -> Image.Image:
    """Return a picture of coarse and fine detail that no other seed gives."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((height, width, 3), dtype=np.float32)
    for side, weight in ((3, 90.0), (9, 50.0), (30, 30.0)):
        coarse = rng.normal(size=(side, side, 3)).astype(np.float32)
        planes = [
            Image.fromarray(coarse[..., band]).resize((width, height), Image.Resampling.BICUBIC)
            for band in range(3)
        ]
        whole += weight * np.stack([np.asarray(plane) for plane in planes], axis=-1)
    return Image.fromarray((whole + 128).clip(0, 255).astype(np.uint8))

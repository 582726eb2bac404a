"""Embed pictures with nano as the package does, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders.families.nano import NanoEncoder

_BATCH = 32


def embed_images(encoder: NanoEncoder, images: Sequence[Any] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embed images, or arrays ``(h, w, 3)`` uint8 of them: ``(n, d)`` float32 unit rows."""
    rows = []
    for start in range(0, len(images), _BATCH):
        batch = [
            image if isinstance(image, Image.Image) else Image.fromarray(image)
            for image in images[start : start + _BATCH]
        ]
        rows.append(encoder.encode_pixels(np.stack([encoder.preprocess(image) for image in batch])))
    return np.concatenate(rows)

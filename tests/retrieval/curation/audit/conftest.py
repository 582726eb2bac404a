"""Pictures of each kind of trouble, among photographs that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter


def photograph(seed: int, *, width: int = 240, height: int = 180) -> Image.Image:
    """A colourful picture with coarse shapes, fine grain and edges."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    edges = Image.fromarray(rng.integers(0, 256, (18, 24, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.NEAREST
    )
    grain = rng.normal(0, 6, (height, width, 1))
    pixels = 0.6 * np.asarray(coarse, float) + 0.4 * np.asarray(edges, float) + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def scaled(image: Image.Image, factor: float, offset: float = 0.0) -> Image.Image:
    """The picture with each value times a factor, and more."""
    return Image.fromarray(np.clip(np.asarray(image, float) * factor + offset, 0, 255).astype(np.uint8))


def write_troubled(folder: Path) -> Path:
    """Write 12 photographs without trouble, and one picture of each kind of trouble, named by it."""
    folder.mkdir()
    for number in range(12):
        photograph(number).save(folder / f"fine-{number:02}.png")
    photograph(20).filter(ImageFilter.GaussianBlur(9)).save(folder / "blurry.png")
    Image.new("RGB", (240, 180), (120, 90, 40)).save(folder / "low_information.png")
    scaled(photograph(21), 0.12).save(folder / "dark.png")
    scaled(photograph(22), 0.06, 238).save(folder / "light.png")
    photograph(23).convert("L").save(folder / "grayscale.png")
    photograph(24, width=480, height=90).save(folder / "odd_aspect_ratio.png")
    photograph(25, width=1200, height=900).save(folder / "odd_size.png")
    return folder


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    return write_troubled(tmp_path / "troubled")

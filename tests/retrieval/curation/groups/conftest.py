"""A folder of red, green and blue pictures, indexed with an encoder that sees mean colours and knows their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.testing import FakeEncoder

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 40, 210)}
COUNTS = {"red": 12, "green": 9, "blue": 6}


@pytest.fixture(scope="package")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours") / "photos"
    numbers = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for place in range(COUNTS[name]):
            shade = np.clip(np.array(colour) + numbers.integers(-12, 13, size=3), 0, 255).astype(np.uint8)
            Image.fromarray(np.broadcast_to(shade, (24, 32, 3)).copy()).save(
                folder / name / f"{place:02}.png"
            )
    retrieval.build_index(folder, encoder=FakeEncoder())
    return folder

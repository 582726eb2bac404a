"""Plain pictures in shades of three colours."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

COLOURS: Final = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 40, 210)}
COUNTS: Final = {"red": 12, "green": 9, "blue": 6}


def write_coloured(folder: Path) -> None:
    numbers = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for place in range(COUNTS[name]):
            shade = np.clip(np.array(colour) + numbers.integers(-12, 13, size=3), 0, 255).astype(np.uint8)
            Image.fromarray(np.broadcast_to(shade, (24, 32, 3)).copy()).save(
                folder / name / f"{place:02}.png"
            )

"""What the tests of activation share: a gallery's files and codes, and the pixels of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval.sources.decoding.decoder import decode

KIND = "IVF4,PQ16x4"
NAMES = [f"{number:02}.png" for number in range(60)]


def pixels(path):
    return np.asarray(decode(Path(path)))

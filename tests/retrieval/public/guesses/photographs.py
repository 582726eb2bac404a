"""The pictures, rows and encoder that all first guesses are tried on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

import retrieval
from retrieval.testing import FakeEncoder

ENCODER = FakeEncoder(nesting=(32,))
DIM = ENCODER.space.dim
PLAIN = {
    "2019/red.png": "red",
    "2019/green.png": "green",
    "2020/blue.png": "blue",
    "2020/deep/yellow.png": "yellow",
    "<b>odd&.png": "purple",
}
PICTURES = [f"more/{number}.png" for number in range(12)]
COPY = "2020/red again.png"  # the bytes of 2019/red.png
NUMBER = len(PLAIN) + len(PICTURES) + 1
WIDTH = retrieval.load_encoder("nano", device="cpu").space.dim
RGB = {
    "red": (255, 0, 0),
    "green": (0, 160, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (128, 0, 128),
}


def plain(colour: str) -> Image.Image:
    return Image.new("RGB", (48, 32), RGB[colour])


def as_bytes(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def random_vectors(count: int, *, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

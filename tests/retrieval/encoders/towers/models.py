"""Tiny torch models with an image and a text tower."""

from __future__ import annotations

import numpy as np
import torch

from retrieval.encoders import Preprocessing
from retrieval.encoders.towers import Tower

HOW = Preprocessing(size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
CONTEXT = 12


class Tiny(torch.nn.Module):
    """A convolution for images; attention, which looks back only, for tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = torch.nn.Conv2d(3, 16, 4, 4)
        self.words = torch.nn.Embedding(32, 16)
        self.attend = torch.nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = torch.nn.LayerNorm(16)
        self.register_buffer("mask", torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1))

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.patches(pixels).flatten(2).mean(-1)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        x = self.norm(self.words(tokens))
        x = (
            x
            + self.attend(x, x, x, need_weights=False, attn_mask=self.get_buffer("mask")[:length, :length])[0]
        )
        return x[torch.arange(x.shape[0]), tokens.argmax(dim=-1)]


class TextOnly(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.network.encode_text(tokens)


class ImageOnly(TextOnly):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.encode_image(pixels)


def tiny() -> Tiny:
    return Tiny().eval().requires_grad_(requires_grad=False)


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 3, 8, 8), dtype=np.float32)


def tokens(*lengths: int) -> np.ndarray:
    """Return texts that begin with numbers and end with 31, the greatest; zeros follow."""
    made = np.zeros((len(lengths), CONTEXT), np.int64)
    for row, length in enumerate(lengths):
        made[row, : length - 1] = np.arange(1, length)
        made[row, length - 1] = 31
    return made


def shortened(given: np.ndarray) -> np.ndarray:
    return given[:, : int(np.flatnonzero(given.any(axis=0))[-1]) + 1]


IMAGE = Tower(
    module=ImageOnly,
    encode=lambda network, given: network.encode_image(given),
    example=lambda: pixels(4),
)
TEXT = Tower(
    module=TextOnly,
    encode=lambda network, given: network.encode_text(given),
    example=lambda: tokens(3, 5, 4),
    shorten=shortened,
)

"""The image tower of `nano` as a torch module: what is trained, and what active indexing differentiates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS = (48, 112, 256, 512)
DIM = 256
STEM_STRIDE = 4


class ConvNorm(nn.Module):
    """A convolution with bias, followed by batch norm while training; export folds the norm into the convolution."""

    def __init__(
        self, width_in: int, width_out: int, size: int, stride: int, padding: int, *, norm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, size, stride, padding, bias=not norm)
        self.norm = nn.BatchNorm2d(width_out) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, then normalise while training."""
        out: torch.Tensor = self.norm(self.conv(x))
        return out


class Block(nn.Module):
    """The basic residual block (He et al., 2015) with a pooled shortcut (He et al., 2018, variant D)."""

    def __init__(self, width_in: int, width_out: int, stride: int, *, norm: bool) -> None:
        super().__init__()
        self.first = ConvNorm(width_in, width_out, 3, stride, 1, norm=norm)
        self.second = ConvNorm(width_out, width_out, 3, 1, 1, norm=norm)
        self.pool = (
            nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
        )
        same = width_in == width_out and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(width_in, width_out, 1, 1, 0, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the shortcut to two convolutions."""
        y = self.second(F.relu(self.first(x)))
        return F.relu(y + self.shortcut(self.pool(x)))


class ImageTower(nn.Module):
    """A ten-layer residual network of four stages, one block each.

    Input: preprocessed RGB, ``(b, 3, s, s)`` float32. ``forward`` gives unit rows ``(b, 256)``; ``raw`` gives them
    before normalisation, for losses that normalise each prefix on its own.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, *, dim: int = DIM, norm: bool = False) -> None:
        super().__init__()
        self.stem = ConvNorm(3, widths[0], 7, STEM_STRIDE, 2, norm=norm)
        before = [widths[0], *widths[:-1]]
        self.stages = nn.ModuleList(
            Block(b, w, 1 if i == 0 else 2, norm=norm)
            for i, (b, w) in enumerate(zip(before, widths, strict=True))
        )
        self.head = nn.Linear(widths[-1], dim)

    def raw(self, x: torch.Tensor) -> torch.Tensor:
        """Embed without normalising: ``(b, 256)``."""
        x = F.relu(self.stem(x))  # (b, 48, s/4, s/4)
        for stage in self.stages:
            x = stage(x)
        out: torch.Tensor = self.head(x.mean((2, 3)))  # (b, 256)
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed: ``(b, 256)`` unit rows."""
        return F.normalize(self.raw(x), dim=1)

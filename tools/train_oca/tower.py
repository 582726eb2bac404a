"""The new image tower: the old one with fewer channels in its last stage and a wider head, and what of it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.nano_torch import ImageTower
from tools.train_nano.train import normalised

OLD, EXTRA = 256, 128
KEPT = 448
SIDE = 112


def narrowed(state: dict[str, torch.Tensor], x: torch.Tensor) -> ImageTower:
    """Return the old tower with the channels of its last stage that carry most, and a head of `OLD` + `EXTRA` outputs.

    Args:
        state: its folded weights.
        x: ``(n, 3, s, s)`` preprocessed photographs, to see which channels carry something.
    """
    widths = [state[f"stages.{i}.second.conv.bias"].shape[0] for i in range(4)]
    old = ImageTower(widths, dim=OLD)
    old.load_state_dict(state)
    old.eval()
    last: Any = old.stages[3]
    with torch.inference_mode():
        y = F.relu(old.stem(x))
        for stage in list(old.stages)[:3]:
            y = stage(y)
        middle = F.relu(last.first(y)).mean((2, 3))  # (n, 512)
        top = last(y).mean((2, 3))  # (n, 512)
    inner = (middle.square().mean(0).sqrt() * last.second.conv.weight.square().sum((0, 2, 3)).sqrt()).argsort(
        descending=True
    )
    outer = (top.std(0) * old.head.weight.norm(dim=0)).argsort(descending=True)
    inner, outer = inner[:KEPT].sort().values, outer[:KEPT].sort().values
    new = dict(state)
    for part, kept in (("first", inner), ("second", outer), ("shortcut", outer)):
        for kind in ("weight", "bias"):
            new[f"stages.3.{part}.conv.{kind}"] = state[f"stages.3.{part}.conv.{kind}"][kept]
    new["stages.3.second.conv.weight"] = new["stages.3.second.conv.weight"][:, inner]
    head = state["head.weight"][:, outer]
    fresh = torch.randn(EXTRA, KEPT, generator=torch.Generator().manual_seed(2)) * head.std()
    new["head.weight"] = torch.cat([head, fresh])
    new["head.bias"] = torch.cat([state["head.bias"], torch.zeros(EXTRA)])
    tower = ImageTower([*widths[:3], KEPT], dim=OLD + EXTRA)
    tower.load_state_dict(new)
    return tower


class Last(nn.Module):
    """What is trained of a tower: its last stage and its head, on what the stages before give."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.stage, self.head = tower.stages[3], tower.head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw vectors ``(b, 384)`` of ``(b, 256, 7, 7)``."""
        out: torch.Tensor = self.head(self.stage(x).mean((2, 3)))
        return out


def trunk(
    tower: ImageTower, pixels: NDArray[np.uint8], rows: NDArray[np.int64], file: Path
) -> NDArray[np.float16]:
    """Return what the stem and the first three stages give for ``pixels[rows]``: ``(n, 256, 7, 7)`` float16, kept in ``file``."""
    last: Any = tower.stages[3]
    shape = (len(rows), last.first.conv.in_channels, SIDE // 16, SIDE // 16)
    out = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    with torch.inference_mode():
        for start in range(0, len(rows), 128):
            x = torch.from_numpy(pixels[rows[start : start + 128]]).permute(0, 3, 1, 2).float() / 255
            if x.shape[-1] != SIDE:
                x = F.interpolate(x, size=(SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
            y = F.relu(tower.stem(normalised(x).contiguous(memory_format=torch.channels_last)))
            for stage in list(tower.stages)[:3]:
                y = stage(y)
            out[start : start + len(x)] = y.numpy().astype(np.float16)
    return out

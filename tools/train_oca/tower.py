"""The new image tower: the old one with fewer channels in its last block and a wider head."""

from __future__ import annotations

import torch

from retrieval.encoders.nano_torch import ImageTower, folded_tower
from tools.train_nano.start import narrowed

OLD, EXTRA = 256, 128
KEPT = 320


def widened(state: dict[str, torch.Tensor], x: torch.Tensor) -> ImageTower:
    """Return the old tower with the `KEPT` channels of its last block that carry most, and a head of `OLD` + `EXTRA` outputs.

    Args:
        state: its folded weights.
        x: ``(n, 3, s, s)`` preprocessed photographs, to see which channels carry something.
    """
    new = narrowed(state, x, KEPT)
    head = new["head.weight"]
    fresh = torch.randn(EXTRA, head.shape[1], generator=torch.Generator().manual_seed(2)) * head.std()
    new = new | {
        "head.weight": torch.cat([head, fresh]),
        "head.bias": torch.cat([new["head.bias"], torch.zeros(EXTRA)]),
    }
    return folded_tower(new, dim=OLD + EXTRA)

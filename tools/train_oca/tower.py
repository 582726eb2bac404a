"""The new image tower: the old one with fewer channels in its last stage and a wider head."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from retrieval.encoders.families.nano_torch import MEANING, ImageTower, folded_tower, widths_of

OLD, EXTRA = 256, 128
KEPT = 424


def narrowed(state: dict[str, torch.Tensor], x: torch.Tensor) -> ImageTower:
    """Return the old tower with the channels of its last stage that carry most, and a head of `OLD` + `EXTRA` outputs.

    Args:
        state: its folded weights.
        x: ``(n, 3, s, s)`` preprocessed photographs, to see which channels carry something.
    """
    widths = widths_of(state)
    old = folded_tower(state, dim=OLD)
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
    first = old.head.weight.shape[1] - widths[-1]  # where the head reads the last stage
    outer = (top.std(0) * old.head.weight[:, first:].norm(dim=0)).argsort(descending=True)
    inner, outer = inner[:KEPT].sort().values, outer[:KEPT].sort().values
    new = dict(state)
    for part, kept in (("first", inner), ("second", outer), ("shortcut", outer)):
        for kind in ("weight", "bias"):
            new[f"stages.3.{part}.conv.{kind}"] = state[f"stages.3.{part}.conv.{kind}"][kept]
    new["stages.3.second.conv.weight"] = new["stages.3.second.conv.weight"][:, inner]
    head = torch.cat([state["head.weight"][:, :first], state["head.weight"][:, first:][:, outer]], 1)
    fresh = torch.randn(EXTRA, head.shape[1], generator=torch.Generator().manual_seed(2)) * head.std()
    new["head.weight"] = torch.cat([head, fresh])
    new["head.bias"] = torch.cat([state["head.bias"], torch.zeros(EXTRA)])
    # There nano@1's vectors have what its bank of texts says of a photograph, not what its tower does.
    new["head.weight"][MEANING] = 0
    new["head.bias"][MEANING] = 0
    tower = ImageTower([*widths[:3], KEPT], dim=OLD + EXTRA)
    tower.load_state_dict(new)
    return tower

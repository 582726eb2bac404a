"""Start a tower with batch norm from the weights of one that has none, which may be shallower or wider."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from retrieval.encoders.nano_torch import ConvNorm, ImageTower, folded_tower, widths_of


def deepened(state: dict[str, torch.Tensor], widths: Sequence[int]) -> dict[str, torch.Tensor]:
    """Name folded weights as in a tower of blocks of ``widths``, which may be more: each is the next there of its width."""
    place, at = {}, -1
    for i, width in enumerate(widths_of(state)):
        at = list(widths).index(width, at + 1)
        place[str(i)] = str(at)

    def moved(name: str) -> str:
        head, _, rest = name.partition(".")
        block, _, rest = rest.partition(".")
        return f"blocks.{place[block]}.{rest}" if head == "blocks" else name

    return {moved(name): value for name, value in state.items()}


@torch.no_grad()
def narrowed(state: dict[str, torch.Tensor], x: torch.Tensor, kept: int) -> dict[str, torch.Tensor]:
    """Return folded weights with so many channels of the last block as are ``kept``, within and after it: those that carry most.

    Args:
        x: ``(n, 3, s, s)`` preprocessed photographs, to see which channels carry something.
    """
    widths = widths_of(state)
    if kept >= widths[-1]:
        return state
    old = folded_tower(state, dim=len(state["head.bias"]))
    last: Any = old.blocks[-1]
    y = F.relu(old.stem(x))
    for block in list(old.blocks)[:-1]:
        y = block(y)
    middle = F.relu(last.first(y)).mean((2, 3))  # (n, inner)
    top = last(y).mean((2, 3))  # (n, outer)
    inner = (middle.square().mean(0).sqrt() * last.second.conv.weight.square().sum((0, 2, 3)).sqrt()).argsort(
        descending=True
    )
    first = old.head.weight.shape[1] - widths[-1]  # where the head reads the last block
    outer = (top.std(0) * old.head.weight[:, first:].norm(dim=0)).argsort(descending=True)
    inner, outer = inner[:kept].sort().values, outer[:kept].sort().values
    new, name = dict(state), f"blocks.{len(widths) - 1}"
    for part, those in (("first", inner), ("second", outer), ("shortcut", outer)):
        for kind in ("weight", "bias"):
            new[f"{name}.{part}.conv.{kind}"] = state[f"{name}.{part}.conv.{kind}"][those]
    new[f"{name}.second.conv.weight"] = new[f"{name}.second.conv.weight"][:, inner]
    new["head.weight"] = torch.cat(
        [state["head.weight"][:, :first], state["head.weight"][:, first:][:, outer]], 1
    )
    return new


@torch.no_grad()
def start_from(tower: ImageTower, state: dict[str, torch.Tensor], probe: torch.Tensor) -> None:
    """Start a tower with batch norm from another's weights, folded (as shipped) or with norms (of a checkpoint).

    Folded weights have no norms: each gets the statistics that its convolution has on ``probe``, so that the tower
    computes what the folded one does, in training mode too. A block that they lack adds nothing at first (Chen et al., 2016,
    "Net2Net", arXiv 1511.05641), as the gain of its last norm is 0 (Goyal et al., 2017, arXiv 1706.02677); a last block that is
    too wide is `narrowed`.

    Args:
        probe: ``(b, 3, s, s)`` preprocessed training pictures.
    """
    own = tower.state_dict()
    if state.keys() == own.keys():
        tower.load_state_dict(state)
        return
    widths = [block.second.conv.out_channels for block in tower.blocks]
    state = deepened(narrowed(state, probe, widths[-1]), widths)
    shift = {
        name.replace(".conv.bias", ""): value for name, value in state.items() if name.endswith(".conv.bias")
    }
    tower.load_state_dict({name: state.get(name, value) for name, value in own.items()})

    def settle(module: ConvNorm, inputs: tuple[torch.Tensor], name: str) -> None:
        y = module.conv(inputs[0])
        mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
        norm: Any = module.norm
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        if name in shift:
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean + shift[name])
        elif name.endswith(".second"):
            norm.weight.zero_()

    hooks = [
        module.register_forward_pre_hook(partial(settle, name=name))
        for name, module in tower.named_modules()
        if isinstance(module, ConvNorm)
    ]
    tower.eval()(probe)
    for hook in hooks:
        hook.remove()

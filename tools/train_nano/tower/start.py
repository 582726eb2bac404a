"""Start a tower with batch norm from weights that have none."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from retrieval.encoders.families.nano_torch import ConvNorm, ImageTower

LEAST_SPREAD = 0.05  # a channel that hardly ever speaks is not made loud


@torch.no_grad()
def start_from(tower: ImageTower, state: dict[str, torch.Tensor], probe: torch.Tensor) -> None:
    """Start a tower with batch norm from another's weights, folded (as shipped) or with norms (of a checkpoint).

    Folded weights have no norms: each gets the statistics that its convolution has on ``probe``, so that the tower
    computes what the folded one does, in training mode too. Hidden units that the state lacks read channels as loud as each other, and add nothing yet.

    Args:
        probe: ``(b, 3, s, s)`` preprocessed training pictures.
    """
    own = tower.state_dict()
    if state.keys() == own.keys():
        tower.load_state_dict(state)
        return
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
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + shift[name])

    hooks = [
        module.register_forward_pre_hook(partial(settle, name=name))
        for name, module in tower.named_modules()
        if isinstance(module, ConvNorm)
    ]
    tower.eval()(probe)
    for hook in hooks:
        hook.remove()
    inner = tower.head.inner
    if inner is not None and "head.inner.weight" not in state:
        means = tower.means(probe)
        inner.weight /= means.std(0) + LEAST_SPREAD
        inner.bias.copy_(-inner.weight @ means.mean(0))

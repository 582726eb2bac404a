"""Muon: steps along the orthogonalised momentum of each weight matrix (Jordan et al., 2024, "Muon").

A convolution's kernel counts as the matrix of its outputs by everything else. A tower that must learn from few samples
gets there in fewer of them than with AdamW; torch's own Muon takes matrices only.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

# The quintic that pushes singular values of [0, 1] to about one within five rounds, by the method's authors.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


@torch.no_grad()
def orthogonalised(matrix: torch.Tensor, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return about ``U V^T`` of the ``(m, n)`` matrix ``U S V^T``, by a Newton-Schulz iteration in ``dtype``."""
    x: torch.Tensor = matrix.to(dtype)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    x = x / (x.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    Steps are scaled to the root mean square of AdamW's, so that one rate serves both (Liu et al., 2025, arXiv 2502.16982).

    Args:
        params: parameters of two axes or more.
        lr: the rate.
        momentum: of the gradient.
        weight_decay: share of a weight that a step of rate 1 takes away.
        dtype: to orthogonalise in; the iteration bears bfloat16 well, as its authors found.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._dtype = dtype
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - the base's signature
        """Take one step; there is no closure."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(state["momentum"], group["momentum"]).flatten(1)  # (m, n)
                move = orthogonalised(ahead, dtype=self._dtype).view_as(weight)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(move, alpha=-group["lr"] * 0.2 * max(ahead.shape) ** 0.5)

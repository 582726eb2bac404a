"""Convolutions as products of matrices, where a CPU that multiplies in bfloat16 is faster so.

Large kernels over few places, as the last stages have, are what its convolution library is slowest at: on cores with AMX
the gradient of a 512-wide 3 x 3 kernel over 4 x 4 places takes it five times as long as the product takes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

WIDE = 256  # outputs from which on a product is faster for the kernel's gradient
WIDEST = 512  # and for everything


class Convolution(torch.autograd.Function):
    """`conv2d` of ``(b, i, h, w)`` and a ``(o, i, k, k)`` kernel, both with channels last."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kernel: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        """Convolve."""
        ctx.save_for_backward(x, kernel)
        ctx.stride, ctx.padding = stride, padding
        if len(kernel) < WIDEST:
            return F.conv2d(x, kernel, stride=stride, padding=padding)
        places = [(side + 2 * padding - kernel.shape[-1]) // stride + 1 for side in x.shape[2:]]
        rows = unfolded(x, kernel.shape[-1], stride, padding) @ as_matrix(kernel).T  # (b places, o)
        return rows.view(len(x), *places, len(kernel)).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None, None]:
        """Return the gradients of the input, where it is asked for, and of the kernel."""
        x, kernel = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        outputs, inputs, size, _ = kernel.shape
        rows = gradients[0].permute(0, 2, 3, 1)  # (b, p, q, o)
        told = rows.reshape(-1, outputs)
        before = None
        if ctx.needs_input_grad[0] and outputs < WIDEST:
            before = conv2d_input(x.shape, kernel, gradients[0], stride, padding)
        elif ctx.needs_input_grad[0]:
            apart = (told @ as_matrix(kernel)).view(*rows.shape[:3], size, size, inputs)
            before = folded(apart, x.shape[2], x.shape[3], stride, padding)
        kernels = told.T @ unfolded(x, size, stride, padding)
        return before, kernels.view(outputs, size, size, inputs).permute(0, 3, 1, 2), None, None


def as_matrix(kernel: torch.Tensor) -> torch.Tensor:
    """Lay out a ``(o, i, k, k)`` kernel as ``(o, k k i)``."""
    return kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)


def unfolded(x: torch.Tensor, size: int, stride: int, padding: int) -> torch.Tensor:
    """Lay out what each place of the output sees of ``(b, i, h, w)``: ``(b p q, size size i)``."""
    rows = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    seen = rows.unfold(1, size, stride).unfold(2, size, stride)  # (b, p, q, i, size, size)
    return seen.permute(0, 1, 2, 4, 5, 3).reshape(-1, size * size * x.shape[1])


def folded(apart: torch.Tensor, height: int, width: int, stride: int, padding: int) -> torch.Tensor:
    """Sum ``(b, p, q, size, size, i)`` where `unfolded` took it from: ``(b, i, height, width)``."""
    b, p, q, size, _, inputs = apart.shape
    rows = apart.new_zeros(b, height + 2 * padding, width + 2 * padding, inputs)
    for y in range(size):
        for x in range(size):
            rows[:, y : y + stride * p : stride, x : x + stride * q : stride] += apart[:, :, :, y, x]
    return rows[:, padding : padding + height, padding : padding + width].permute(0, 3, 1, 2)


class WideConv(nn.Conv2d):
    """A square convolution without bias, as products of matrices."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the base's name
        """Convolve, in the type that autocast asks for."""
        kernel = self.weight
        if torch.is_autocast_enabled(input.device.type):
            dtype = torch.get_autocast_dtype(input.device.type)
            input, kernel = input.to(dtype), kernel.to(dtype)  # noqa: A001
        out: torch.Tensor = Convolution.apply(input, kernel, self.stride[0], int(self.padding[0]))
        return out


def widen(module: nn.Module) -> None:
    """Make the wide convolutions of a module such ones, in place; parameters and their names stay."""
    for child in module.modules():
        if type(child) is nn.Conv2d and child.bias is None and child.out_channels >= WIDE:
            child.__class__ = WideConv

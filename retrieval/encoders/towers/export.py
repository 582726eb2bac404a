"""Export a torch tower as an ONNX graph, with attention as ONNX Runtime's own operator."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

INPUT, OUTPUT = "input", "features"
OPSET = 17  # the first in which LayerNorm is one operator


def export(tower: torch.nn.Module, example: NDArray[Any], path: Path, *, lengths: bool = False) -> None:
    """Write a tower as an ONNX graph that takes any number of rows.

    Args:
        tower: maps one tensor ``(b, ...)`` to features ``(b, d)``; in evaluation mode, on the CPU.
        example: ``(b, ...)`` inputs to trace it with; ``b`` is at least 2, or the graph would take single rows only.
        path: of the graph. A graph of more than two gigabytes has its weights in files beside it.
        lengths: it takes any length of the second axis too.
    Raises:
        ImportError: the package onnx is missing.
        Exception: whatever torch raises for a model that it cannot export.
    """
    import onnx  # noqa: F401 - torch says with its own error, and late, that it is missing
    import torch

    axes = {0: "rows", 1: "length"} if lengths else {0: "rows"}
    with warnings.catch_warnings(), torch.no_grad(), _fused_attention(tower), _without_log():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower,
            (torch.from_numpy(np.ascontiguousarray(example)),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: {0: "rows"}},
            opset_version=OPSET,
            **_old_exporter(torch.onnx.export),
        )


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep torch from printing the whole model when it cannot export it; its own switch is turned on by every export."""
    from torch import _C

    if not hasattr(_C, "_jit_onnx_log"):
        yield
        return
    log = _C._jit_onnx_log  # noqa: SLF001 - there is no public name
    _C._jit_onnx_log = lambda *_: None  # noqa: SLF001
    try:
        yield
    finally:
        _C._jit_onnx_log = log  # noqa: SLF001


@contextmanager
def _fused_attention(tower: torch.nn.Module) -> Iterator[None]:
    """Let the attention of a module be exported as one operator, which takes texts of any length.

    Torch's own is exported as a dozen operators that hold the length of the example. Meanwhile it computes the same.
    """
    import torch

    class Attend(torch.autograd.Function):
        @staticmethod
        def forward(
            _: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any, heads: int
        ) -> torch.Tensor:
            q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))  # (b, h, l, w)
            found = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return found.transpose(1, 2).flatten(2)  # (b, l, h·w)

        @staticmethod
        def symbolic(graph: Any, q: Any, k: Any, v: Any, mask: Any, heads: int) -> Any:
            inputs = [q, k, v]
            if mask is not None:
                left_out = graph.op("prim::Constant")
                left_out.setType(torch._C.OptionalType.ofTensor())  # noqa: SLF001 - no public way to leave an input out
                inputs += [left_out, left_out, mask]
            found = graph.op("com.microsoft::MultiHeadAttention", *inputs, num_heads_i=heads)
            found.setType(q.type())
            return found

    changed = [module for module in tower.modules() if _is_plain(module)]
    for module in changed:
        module.forward = _forward(module, Attend.apply)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _is_plain(module: Any) -> bool:
    """Say whether a module is attention without the rarer options of torch's class."""
    import torch

    return (
        type(module) is torch.nn.MultiheadAttention
        and module.batch_first
        and module.in_proj_weight is not None
        and module.bias_k is None
        and not module.add_zero_attn
    )


def _forward(attention: Any, attend: Any) -> Any:
    """Return what stands in for a module's `forward` while it is exported."""
    import torch

    original = attention.forward

    def forward(query: Any, key: Any, value: Any, **options: Any) -> Any:
        mask = options.get("attn_mask")
        if (
            query is not key
            or key is not value
            or options.get("key_padding_mask") is not None
            or options.get("need_weights", True)
            or (mask is not None and mask.ndim != 2)
        ):
            return original(query, key, value, **options)
        parts = torch.nn.functional.linear(query, attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = parts.chunk(3, dim=-1)  # (b, l, width) each
        found = attend(q, k, v, None if mask is None else mask[None, None], attention.num_heads)
        return attention.out_proj(found), None

    return forward


def _old_exporter(function: Any) -> dict[str, Any]:
    """Return the arguments that choose the exporter which needs no other package than onnx."""
    import inspect

    return {"dynamo": False} if "dynamo" in inspect.signature(function).parameters else {}

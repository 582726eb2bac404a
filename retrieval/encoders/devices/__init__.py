"""Choose where a model runs: CPU, one card or several, and how many images at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.devices.batch_size import BatchSize
    from retrieval.encoders.devices.devices import (
        ALL_CARDS,
        allowed_threads,
        check_device_name,
        is_out_of_memory,
        onnx_providers,
        require_device,
        torch_device,
    )
    from retrieval.encoders.devices.runtime import Session, onnx_runtime
    from retrieval.encoders.devices.several_cards import on_cards

__all__ = [
    "ALL_CARDS",
    "BatchSize",
    "Session",
    "allowed_threads",
    "check_device_name",
    "is_out_of_memory",
    "on_cards",
    "onnx_providers",
    "onnx_runtime",
    "require_device",
    "torch_device",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "batch_size": ("BatchSize",),
            "devices": (
                "ALL_CARDS",
                "allowed_threads",
                "check_device_name",
                "is_out_of_memory",
                "onnx_providers",
                "require_device",
                "torch_device",
            ),
            "runtime": ("Session", "onnx_runtime"),
            "several_cards": ("on_cards",),
        },
    )

"""Choose where a model runs: CPU, one card or several, and how many images at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.devices.batch_size import BatchSize as BatchSize
    from retrieval.encoders.devices.devices import (
        ALL_CARDS as ALL_CARDS,
        allowed_threads as allowed_threads,
        check_device_name as check_device_name,
        is_out_of_memory as is_out_of_memory,
        onnx_providers as onnx_providers,
        require_device as require_device,
        torch_device as torch_device,
    )
    from retrieval.encoders.devices.runtime import Session as Session, onnx_runtime as onnx_runtime
    from retrieval.encoders.devices.several_cards import on_cards as on_cards

lazy(__name__)

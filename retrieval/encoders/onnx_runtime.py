"""ONNX Runtime, told to keep what it sees to itself before it starts.

Since 1.29 its wheels for Linux and macOS, as those for Windows before, count sessions and models, write a device number and a
database into the user's cache and send them to their maker. A search of private pictures has no business doing that.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

__all__ = ["onnx_runtime"]

VARIABLE = "ORT_DISABLE_TELEMETRY"


@cache
def onnx_runtime() -> Any:
    """Import and return ``onnxruntime``; it reports nothing unless the user has set ``ORT_DISABLE_TELEMETRY`` to another value than 1.

    The variable counts only before the first import (ONNX Runtime's pull request 27379), so everything here imports it by this.
    """
    chosen = os.environ.setdefault(VARIABLE, "1")
    import onnxruntime

    if chosen == "1":
        onnxruntime.disable_telemetry_events()  # Windows does not read the variable
    return onnxruntime

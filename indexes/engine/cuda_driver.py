"""Ask the CUDA driver how many cards this process sees, and how much memory of one is free."""

from __future__ import annotations

import ctypes
from typing import Any


def cuda_devices() -> int:
    """Return how many CUDA devices the driver shows to this process; 0 without a driver."""
    driver = _driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def free_memory(device: int) -> int | None:
    """Return a card's free bytes, None where nobody tells.

    Args:
        device: number of the card as this process counts them: ``CUDA_VISIBLE_DEVICES`` may leave some out, or order them
            otherwise, and ``nvidia-smi`` takes no notice of it.
    """
    driver = _driver()
    if driver is None:
        return None
    card, context, before = ctypes.c_int(0), ctypes.c_void_p(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    if driver.cuDeviceGet(ctypes.byref(card), device) != 0:
        return None
    if driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), card) != 0:
        return None
    try:
        if driver.cuCtxPushCurrent_v2(context) != 0:
            return None
        told = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
        driver.cuCtxPopCurrent_v2(ctypes.byref(before))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(card)
    return free.value if told else None


def _driver() -> Any:
    """Return the driver's library, started; None where there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        return driver if driver.cuInit(0) == 0 else None
    except (OSError, AttributeError):
        return None

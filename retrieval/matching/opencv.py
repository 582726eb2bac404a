"""Load OpenCV, keep it to one thread, and let it use freed memory again."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from indexes.distribution import pip_install
from retrieval.errors import MissingExtra

_REUSED = 1 << 24  # bytes of the largest block that the allocator is to keep; SIFT's are below 1 MiB


def available() -> bool:
    """Say whether pictures can be compared here: whether OpenCV is installed."""
    return find_spec("cv2") is not None


def opencv() -> Any:
    """Return the module ``cv2``, set to one thread.

    The setting holds for the process. Pairs are what is spread over threads, and pictures of 256 pixels gain nothing from
    more. Threads of OpenCV also do not survive a fork: a child that needed them would wait for ever.

    Raises:
        MissingExtra: OpenCV is not installed, or does not load.
    """
    cv2 = _loaded()
    if cv2.getNumThreads() > 1:
        cv2.setNumThreads(1)
    return cv2


@functools.cache
def _loaded() -> Any:
    try:
        with _one_blas_thread():
            import cv2
        _reuse_freed_memory()
    except ImportError as error:
        raise MissingExtra(
            f"comparing pictures needs OpenCV, which is not installed: {pip_install('verify')}"
        ) from error
    return cv2


def _reuse_freed_memory() -> None:
    """Let the C library keep freed blocks of up to 16 MiB for the process instead of returning them to the system.

    glibc raises its limit (M_MMAP_THRESHOLD, 128 KiB at first) to the size of the largest block freed. SIFT allocates and frees
    some 5 MB a picture in larger blocks; that they came as new pages each time took a quarter of its time. Other C libraries
    are not changed by this.
    """
    np.empty(_REUSED, np.uint8)  # freed at once


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Set what the OpenBLAS inside OpenCV reads while it is loaded, where the user has not.

    It would start a thread a core for each product of descriptors, whatever OpenCV's own setting is.
    """
    name = "OPENBLAS_NUM_THREADS"
    if name in os.environ or "cv2" in sys.modules:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)

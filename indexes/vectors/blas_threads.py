"""Let numpy's BLAS use one thread: on a busy machine several wait for each other at every product."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["one_blas_thread"]

_NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy's products use one thread within the block, those of other threads of the process too.

    Of many small products in a row each waits for its slowest thread. On two cores with twenty processes an upgrade's maps took
    minutes so, and seconds with one thread. A BLAS other than numpy's own OpenBLAS stays as it is.
    """
    found = _thread_count()
    if found is None:
        yield
        return
    get, put = found
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _thread_count() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return what reads and sets how many threads numpy's OpenBLAS uses; None where numpy brings none."""
    for path in sorted((Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*")):
        library = ctypes.CDLL(str(path))  # which numpy has loaded already
        for name in _NAMES:
            with suppress(AttributeError):
                return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None

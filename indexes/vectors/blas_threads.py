"""Let numpy's BLAS use one thread: on a busy machine several wait for each other at every product."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np

from indexes import forks

_NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads")


class _Blocks:
    """The blocks of all threads that are open: the first sets one thread, the last as many as before the first."""

    def __init__(self) -> None:
        self._lock, self._open, self._before = forks.Lock(), 0, 0

    def enter(self, get: Callable[[], int], put: Callable[[int], None]) -> None:
        with self._lock:
            if not self._open:
                self._before = get()
                put(1)
            self._open += 1

    def leave(self, put: Callable[[int], None]) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                put(self._before)


_blocks = _Blocks()


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
    _blocks.enter(get, put)
    try:
        yield
    finally:
        _blocks.leave(put)


@cache
def _thread_count() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return what reads and sets how many threads numpy's OpenBLAS uses; None where numpy brings none."""
    for path in sorted((Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*")):
        library = ctypes.CDLL(str(path))  # which numpy has loaded already
        for name in _NAMES:
            with suppress(AttributeError):
                return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None

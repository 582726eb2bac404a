"""Map the rerank files of several stores behind each other, so that their rows are one array in memory that copies nothing.

FAISS compares candidates with rows in one array. Numpy maps one file an array. Here the system is asked for one range of addresses,
and each file is mapped into its place in it; each begins on a page, so a few places between two files stand for no row.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.vectors import Halves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FIXED = 0x10  # MAP_FIXED, which Python does not name; the same on Linux, macOS and the BSDs
_FAILED = ctypes.c_void_p(-1).value


class _Addresses:
    """A range of addresses of this process with files mapped into it; freed with the last array that shows it."""

    def __init__(self, size: int, shape: tuple[int, int]) -> None:
        self._size, self._unmap = size, _system().munmap
        self._first = _mapped(
            None,
            size,
            protection=mmap.PROT_READ,  # of what no file covers: padding, -1, reads rows that nobody asked for
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            file=-1,
        )
        self.__array_interface__ = {
            "data": (self._first, True),
            "shape": shape,
            "typestr": np.dtype(np.float16).str,
            "version": 3,
        }

    def map(self, file: int, *, at: int, size: int) -> None:
        """Map the first bytes of an open file."""
        _mapped(
            self._first + at,
            size,
            protection=mmap.PROT_READ,
            flags=mmap.MAP_SHARED | _FIXED,
            file=file,
        )

    def __del__(self) -> None:
        if hasattr(self, "_first"):
            self._unmap(self._first, self._size)


def map_together(
    paths: Sequence[Path], counts: Sequence[int], *, dim: int
) -> tuple[Halves, list[int]] | None:
    """Map the first rows of several rerank files into one array.

    Args:
        paths: of the files, each long enough.
        counts: rows of each.
        dim: width of all.
    Returns:
        ``(n, dim)`` float16, read-only, which ends with the last row, and where the rows of each file begin in it; places between
        two files hold zeros or later rows of the first. None where this system cannot do so.
    Raises:
        FileNotFoundError: a file is missing.
    """
    if os.name != "posix":
        return None
    row = 2 * dim
    step = mmap.PAGESIZE // math.gcd(mmap.PAGESIZE, row)  # rows after which one begins on a page again
    starts = [0]
    for count in counts:
        starts.append(starts[-1] + -(-count // step) * step)
    ends = [start + count for start, count in zip(starts, counts, strict=False) if count]
    if not ends:
        return None
    try:
        addresses = _Addresses(starts[-1] * row, (ends[-1], dim))
        with ExitStack() as stack:
            for path, start, count in zip(paths, starts, counts, strict=False):
                if count:
                    file = stack.enter_context(path.open("rb"))
                    if (
                        os.fstat(file.fileno()).st_size < count * row
                    ):  # reading behind its end would end this process
                        return None
                    addresses.map(file.fileno(), at=start * row, size=count * row)
    except FileNotFoundError:
        raise
    except (OSError, AttributeError):  # no such call here, or too little room for addresses
        return None
    rows: Halves = np.asarray(addresses)
    return rows, starts[:-1]


def _system() -> Any:
    """Return the C library."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int64,
    ]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def _mapped(address: int | None, size: int, *, protection: int, flags: int, file: int) -> int:
    """Call the system's mmap.

    Raises:
        OSError: it refuses.
    """
    found = _system().mmap(address, size, protection, flags, file, 0)
    if found is None or found == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)

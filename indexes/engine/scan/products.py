"""Compute scores of many rows and several queries: exactly as floats, or faster as bfloat16."""

from __future__ import annotations

import sys
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexes.engine import faiss, linear
from indexes.vectors import Halves, Vectors, floats

# Rows as floats at a time: fewer, and packing the queries for BLAS is felt; more leave the cache.
_ROWS = 1024
_CONVERTED = 256  # rows turned into floats together: they stay in the second-level cache from pass to pass
_BRIEF_ROWS = 512  # rows as bfloat16 at a time

ROUNDING = np.float32(1e-5)
"""More than two orders of summation can differ in a float32 cosine."""


class Product(Protocol):
    """Scores blocks of rows; for one thread, as it has buffers of its own.

    Attributes:
        error: ``(q,)`` float32: no score is further than this from the cosine.
    """

    error: NDArray[np.float32]

    def scores(self, rows: Halves, out: NDArray[np.float32]) -> None:
        """Write the scores of ``rows`` ``(m, d)`` into the first of ``out`` ``(>= m, q)``, C-contiguous."""
        ...


class Floats:
    """The product of rows turned into floats, each of them exactly."""

    def __init__(self, queries: Vectors) -> None:
        self.error = np.full(len(queries), ROUNDING, dtype=np.float32)
        self._times = _Times(queries)
        self._wide = np.empty((_ROWS, queries.shape[1]), dtype=np.float32)

    def scores(self, rows: Halves, out: NDArray[np.float32]) -> None:
        """Write the scores of a block of rows."""
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            for first in range(0, len(part), _CONVERTED):
                some = part[first : first + _CONVERTED]
                floats(some, self._wide[first : first + len(some)])
            self._times.write(self._wide, len(part), out[start:])


class Brief:
    """The product of rows cut to bfloat16, in half the passes over memory that floats take.

    A bfloat16 is the upper half of a float32. So two neighbours, cut to it, are one float32 for BLAS: the second with
    the first as its last, meaningless digits. The first, moved up, is another. Per component this is off by at most a
    128th of it, or by 2^-15 where it is less than 2^-14: enough to find candidates, generously.

    Args:
        queries: ``(q, d)`` float32 unit rows, ``d`` even.
    """

    def __init__(self, queries: Vectors) -> None:
        q, dim = queries.shape
        self.error = (
            np.float32(1.01 * 2.0**-7) + np.float32(1.01 * 2.0**-15) * np.abs(queries).sum(axis=1) + ROUNDING
        )
        first, second = (0, 1) if sys.byteorder == "little" else (1, 0)
        self._second = _Times(queries[:, second::2])
        self._first = _Times(queries[:, first::2])
        self._cut = np.empty((_BRIEF_ROWS, dim), dtype=np.int16)
        self._up = np.empty((_BRIEF_ROWS, dim // 2), dtype=np.int32)
        self._scores = np.empty((_BRIEF_ROWS, q), dtype=np.float32)

    def scores(self, rows: Halves, out: NDArray[np.float32]) -> None:
        """Write the scores of a block of rows."""
        for start in range(0, len(rows), _BRIEF_ROWS):
            part = rows[start : start + _BRIEF_ROWS].view(np.int16)
            m = len(part)
            cut = self._cut[:m]
            np.right_shift(part, 3, out=cut)  # three exponent bits more, three digits less
            np.bitwise_and(cut, np.int16(-0x7001), out=cut)  # the sign was extended: keep one bit of it
            np.add(cut, np.int16(112 << 7), out=cut)  # the exponents' biases differ by 112
            np.left_shift(cut.view(np.int32), 16, out=self._up[:m])
            there = out[start : start + m]
            self._second.write(self._cut.view(np.float32), m, there)
            self._first.write(self._up.view(np.float32), m, self._scores)
            np.add(there, self._scores[:m], out=there)


class _Times:
    """Multiplies rows with fixed queries: faiss's BLAS keeps to the thread that calls it, numpy's does not."""

    def __init__(self, queries: Vectors) -> None:
        self._product, self._pointer = linear(queries), faiss().swig_ptr

    def write(self, rows: Vectors, count: int, out: NDArray[np.float32]) -> None:
        """Write the products of the first ``count`` rows into ``out``."""
        self._product.apply_noalloc(count, self._pointer(rows), self._pointer(out))

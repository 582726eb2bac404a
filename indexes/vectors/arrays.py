"""Define the array types that modules exchange, and check arrays once where they enter."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError, VectorError

Vectors: TypeAlias = NDArray[np.float32]
"""``(n, d)`` float32, C-contiguous, unit rows."""

Halves: TypeAlias = NDArray[np.float16]
"""``(n, d)`` float16 unit rows, as they are stored."""

Ids: TypeAlias = NDArray[np.int64]
"""int64 row ids; -1 is padding."""

Bitmap: TypeAlias = NDArray[np.bool_]
"""``(count,)`` bool, one flag a row id."""


_UNIT = 1e-6  # of a squared norm: half of what is left as it is below
_FLOATS_AT_ONCE = 256  # rows that are turned into floats together: they stay in the cache from pass to pass


def unit_rows(array: Any, *, dim: int | None = None, what: str = "vectors") -> Vectors:
    """Return ``array`` as float32 unit rows; a fresh array unless it is one already.

    Args:
        array: ``(n, d)`` or ``(d,)``, any real dtype.
        dim: the width expected.
        what: what the array is, for messages.
    Raises:
        ShapeError: not one or two axes of real numbers, no columns, or not ``dim`` wide.
        VectorError: a value is not finite, or a row is zero.
    """
    # As queries mostly come: the checks below cost a fourth of a search in an index.
    if type(array) is np.ndarray and array.dtype == np.float32 and array.flags.c_contiguous:
        given: Vectors = array[np.newaxis] if array.shape == (dim,) else array
        if given.shape == (1, dim) and abs(given[0].dot(given[0]).item() - 1) < _UNIT:
            return given
    return _unit(array, dim=dim, what=what)[0]


def _unit(array: Any, *, dim: int | None, what: str) -> tuple[Vectors, bool]:
    """Return the unit rows, and whether rows had to be scaled for it."""
    try:
        rows = without_mask(np.asanyarray(array), what=what)
    except (TypeError, ValueError, RuntimeError) as error:  # a ragged list, a tensor on a GPU …
        raise ShapeError(
            f"{what}: {type(array).__name__} cannot be read as an array of real numbers ({error})"
        ) from error
    if rows.ndim == 1:
        rows = rows[np.newaxis]
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "fiu":
        raise ShapeError(f"{what}: expected (n, d) real numbers, got shape {rows.shape} of {rows.dtype}")
    if dim is not None and rows.shape[1] != dim:
        raise ShapeError(f"{what}: expected {dim} columns, got {rows.shape[1]}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf, and is refused below
        result = (
            _wide(rows) if rows.dtype == np.float16 else np.ascontiguousarray(rows, dtype=np.float32)
        )  # (n, d)
    if _plainly_unit(result):
        return result, False
    norms = np.sqrt(np.einsum("nd,nd->n", result, result, dtype=np.float64))  # (n,)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        reason = "zero" if norms[bad[0]] == 0 else "not finite"
        raise VectorError(f"{what}: row {bad[0]} is {reason} ({bad.size:,} such rows of {len(rows):,})")
    # Half-precision unit rows are left as they are, so that what was exported is the same when it comes back.
    tolerance = 5e-4 if rows.dtype == np.float16 else 1e-6
    if np.all(np.abs(norms - 1) < tolerance):
        return result, False
    return (result / norms[:, np.newaxis]).astype(np.float32), True


def without_mask(array: NDArray[Any], *, what: str) -> NDArray[Any]:
    """Return an array as one without a mask.

    Raises:
        ShapeError: a number of it is masked.
    """
    if type(array) is not np.ndarray and np.ma.is_masked(array):
        raise ShapeError(
            f"{what}: some numbers are masked; leave those rows out, as `vectors[~vectors.mask.any(axis=1)]`"
        )
    return np.asarray(array)


def same_facts(one: Any, other: Any) -> bool:
    """Say whether two values are equal, arrays and the fields of dataclasses one by one: ``==`` of arrays is no truth value."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if is_dataclass(one):
        return all(same_facts(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_facts(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same_facts, one, other))
    return bool(one == other)


def _plainly_unit(rows: Vectors) -> bool:
    """Say whether rows are seen to be unit at a glance, in single precision, as queries mostly are."""
    squares = np.einsum("nd,nd->n", rows, rows)  # (n,)
    return bool(np.count_nonzero(np.abs(squares - 1) < _UNIT) == len(rows))


def stored_rows(array: Any, *, dim: int | None = None, what: str = "vectors") -> Halves:
    """Return ``array`` as the float16 unit rows that a store keeps; the array itself if it is that already.

    Takes and raises what `unit_rows` does.
    """
    rows = np.asarray(array)
    unit, scaled = _unit(rows, dim=dim, what=what)
    if rows.dtype == np.float16 and rows.ndim == 2 and rows.flags.c_contiguous and not scaled:
        return rows
    return unit.astype(np.float16)


def _wide(rows: Halves) -> Vectors:
    wide = np.empty(rows.shape, dtype=np.float32)
    if np.any((rows.view(np.uint16) & np.uint16(0x7C00)) == np.uint16(0x7C00)):
        return rows.astype(np.float32)  # infinities and NaN, to be refused by name
    for start in range(0, len(rows), _FLOATS_AT_ONCE):
        floats(rows[start : start + _FLOATS_AT_ONCE], wide[start : start + _FLOATS_AT_ONCE])
    return wide


def floats(halves: Halves, out: Vectors) -> None:
    """Write ``halves`` into ``out`` as float32, five times as fast as numpy's own conversion.

    A float16 is moved to where a float32 has its exponent and fraction; the exponents' biases differ by 112, which
    one multiplication makes up for, denormals included. Infinities and NaN, which no stored row has, come out wrong.
    """
    bits = out.view(np.int32)
    np.copyto(bits, halves.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)  # the sign was extended: keep one bit of it
    np.multiply(out, np.float32(2.0**112), out=out)

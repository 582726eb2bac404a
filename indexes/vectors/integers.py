"""Check integer arguments: any integer-like value is taken, everything else is refused in one sentence."""

from __future__ import annotations

import operator
import reprlib
from typing import Any

import numpy as np

from indexes.errors import MissingRow, OptionError, ShapeError, value_text
from indexes.vectors.arrays import Ids

_LARGEST = 2**63 - 1
_PLACES = 1 << 27  # an id and a score each: 1.6 GB


def integer(value: Any, name: str, *, least: int | None = 1, most: int | None = _LARGEST) -> int:
    """Return an integer-like value (`operator.index`) as an `int`.

    Args:
        value: an `int`, a numpy integer, a 0-d integer array …; no truth value, no float.
        name: the argument's, for messages.
        least, most: the bounds, both allowed; None for none.
    Raises:
        OptionError: it is none, or lies outside the bounds.
    """
    if type(value) is int:  # as it mostly is, and every search asks
        number = value
    else:
        try:
            if isinstance(value, bool | np.bool_):
                raise TypeError
            number = operator.index(value)
        except TypeError as error:
            raise OptionError(
                f"{name} is {value_text(value)} ({type(value).__name__}); it must be an integer"
                + ("" if least is None else f", at least {least}")
            ) from error
    if least is not None and number < least:
        raise OptionError(f"{name} is {number}; it must be at least {least}")
    if most is not None and number > most:
        raise OptionError(f"{name} is {number}; it must be at most {most}")
    return number


def optional_integer(value: Any, name: str, *, least: int | None = 1) -> int | None:
    """Return the same, and `None` for `None`."""
    return None if value is None else integer(value, name, least=least)


def places(k: Any, *, queries: int, rows: int) -> int:
    """Return ``k``, checked: a search makes ``(queries, k)`` places, which must fit in memory.

    Raises:
        OptionError: it is no positive integer, or the places would take over two gigabytes.
    """
    number = integer(k, "k")
    if number > rows and number * max(queries, 1) > _PLACES:
        raise OptionError(
            f"k is {number:,}, and the collection holds {rows:,} rows; ask for as many as there are at most"
        )
    return number


def spread(count: int, most: int) -> Ids:
    """Return some of so many places, spread evenly over all, ascending; none where there are none."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def row_ids(ids: Any, *, count: int, where: object) -> Ids:
    """Return row ids as ``(m,)`` int64.

    Args:
        ids: integer-like values, one or several, or ``(count,)`` flags: the rows where they are true, ascending.
        count: rows that there are.
        where: the collection, for messages.
    Raises:
        MissingRow: an id is negative or not below `count`.
        OptionError: floats, texts, or whatever else is no id.
        ShapeError: flags of another length, or more than one axis.
    """
    try:
        found = np.asarray(ids)
    except ValueError as error:  # rows of several lengths
        raise ShapeError(f"row ids: expected one axis, got {reprlib.repr(ids):.80}") from error
    if found.ndim == 0:
        found = found[np.newaxis]
    if found.ndim != 1:
        raise ShapeError(f"row ids: expected one axis, got shape {found.shape}")
    if found.dtype == np.bool_:
        if found.shape != (count,):
            raise ShapeError(
                f"flags of rows: expected one for each of the {count:,} rows, got {len(found):,}"
            )
        return np.flatnonzero(found)
    if found.dtype.kind not in "iu" and len(found):
        found = _integers(found, count, where)
    elif isinstance(ids, list | tuple) and any(isinstance(one, bool | np.bool_) for one in ids):
        raise OptionError("row ids: truth values and numbers are mixed; give ids, or one flag a row")
    if len(found) and (int(found.min()) < 0 or int(found.max()) >= count):
        bad = next(int(one) for one in found.tolist() if not 0 <= one < count)
        raise MissingRow(f"{where}: no row {bad}; {_range(count)}")
    return found.astype(np.int64, copy=False)


def row_flags(keep: Any, *, count: int, name: str = "keep") -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return ``(count,)`` flags of rows, checked.

    Raises:
        ShapeError: they are not ``(count,)`` truth values.
    """
    flags = np.asarray(keep)
    if flags.dtype != np.bool_ or flags.shape != (count,):
        raise ShapeError(
            f"{name}: expected ({count},) truth values, one a row, got shape {flags.shape} of {flags.dtype}; "
            "`Collection.mask` makes them"
        )
    return flags


def _integers(found: np.ndarray[Any, Any], count: int, where: object) -> Ids:
    """Return values of another type than numpy's integers, each of which must be one."""
    numbers = []
    for one in found.tolist() if found.dtype == object else found:
        try:
            if isinstance(one, bool | np.bool_):
                raise TypeError
            numbers.append(operator.index(one))
        except TypeError as error:
            raise OptionError(
                f"row ids: {one!r} ({type(one).__name__}) is none; give integers, or one flag a row"
            ) from error
        if not 0 <= numbers[-1] < count:
            raise MissingRow(f"{where}: no row {numbers[-1]}; {_range(count)}")
    return np.array(numbers, dtype=np.int64)


def _range(count: int) -> str:
    return f"ids run from 0 to {count - 1:,}" if count else "it holds none"

"""Check and convert the values that queries are made of: images, vectors, numbers, arrays of other libraries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from indexes.vectors import without_mask
from retrieval.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ArrayLike(Protocol):
    """What numpy makes an array of: its own, a torch tensor, a pandas column."""

    def __array__(self, dtype: Any = None, /) -> Any:
        """Return the numpy array."""


def is_number(value: Any) -> TypeGuard[int]:
    """Say whether a value is an integer, as row ids are; truth values are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def as_array(value: Any) -> NDArray[Any]:
    """Return an array-like value as a numpy array; a tensor may need gradients, or lie on another device.

    Raises:
        QueryError: numpy can make no array of it.
        ValueError: lists of several lengths.
    """
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            if "bfloat16" in str(value.dtype):  # which numpy has not
                value = value.float()
        return without_mask(np.asanyarray(value), what="the array")
    except (TypeError, RuntimeError) as error:  # a sparse tensor, one without numbers …
        raise QueryError(f"{type(value).__name__} cannot be read as an array ({error!s:.200})") from error


def image_source(source: Any) -> Any:
    """Return an image as `retrieval.sources.decoding.decoder.decode` takes it.

    Raises:
        QueryError: it is none.
    """
    if isinstance(source, str | os.PathLike | bytes | np.ndarray) or hasattr(source, "convert"):
        return source
    if hasattr(source, "read"):
        return source if _can_seek(source) else source.read()  # a pipe: two encoders may read it
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if hasattr(source, "__array__"):
        return as_array(source)
    raise QueryError(
        f"{type(source).__name__} is no image; give a path, bytes, a PIL image, an open binary file or a uint8 array"
    )


def vector_source(numbers: Any) -> NDArray[Any]:
    """Return a vector as a ``(d,)`` array of real numbers.

    Raises:
        QueryError: it is none.
    """
    try:
        array = as_array(numbers)
    except ValueError:  # lists of several lengths
        array = np.empty(0, dtype=object)
    if array.ndim == 2 and len(array) == 1:
        array = array[0]
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        what = (
            f"an array {array.shape} of {array.dtype}" if array.dtype.kind != "O" else type(numbers).__name__
        )
        raise QueryError(f"{what} is no vector; give (d,) real numbers")
    return array


def _can_seek(stream: Any) -> bool:
    seekable = getattr(stream, "seekable", None)
    try:
        return bool(seekable()) if callable(seekable) else hasattr(stream, "seek")
    except ValueError:  # it is closed, which is told when it is read
        return True

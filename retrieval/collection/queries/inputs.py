"""Read what a caller of `Collection.search` gives as a query: words, images, ids, vectors, or a batch of these."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Set as AbstractSet
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from retrieval.collection.queries.terms import Query, Term, image, row, text, vector
from retrieval.collection.queries.values import ArrayLike, as_array, is_number
from retrieval.errors import QueryError
from retrieval.sources import has_image_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

Single: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    bytes,
    bytearray,
    memoryview,
    IO[bytes],
    "Image",
    int,
    "np.integer[Any]",
    Query,
    list[float],
    tuple[float, ...],
]
"""A query whose type says that it is one, not a batch."""

QueryLike: TypeAlias = Union[Single, ArrayLike]  # noqa: UP007
"""What `Collection.search` takes as one query.

A `str` is words, never a file. A `Path`, bytes, a PIL image, an open binary file and a uint8 array ``(h, w)``, ``(h, w, 3)``
or ``(h, w, 4)`` are images. An `int` is a row id. A list of numbers and an array or tensor ``(d,)`` or ``(1, d)`` are a vector.
"""

_WHAT = "give words, a path, an image, an id or a vector"


def as_query(value: Any, *, beside: Path | None = None) -> Query:
    """Read one query.

    A `str` is words, never a file that happens to exist: services pass strangers' strings.

    Args:
        value: a `QueryLike`.
        beside: a second folder in which a relative path may lie (the collection's root: hits are printed relative to it).
    Raises:
        QueryError: there is nothing in it, or it is no query, or several.
    """
    found = _read(value, beside)
    if isinstance(found, Query):
        return found
    raise QueryError(
        f"{type(value).__name__} of {len(found)}: here is room for one query; add several with +, such as "
        "retrieval.text('a cat') + retrieval.text('at night')"
    )


def as_batch(value: Any, *, beside: Path | None = None) -> Query | Sequence[Any]:
    """Read one query, or the items of a batch, which are not read yet: a list, a tuple, an array with a vector a row.

    Raises:
        QueryError: it is neither.
    """
    return _read(value, beside)


def as_minus(value: Any, *, beside: Path | None = None) -> tuple[Query, ...]:
    """Read what to steer away from: one query, or several in a list.

    Raises:
        QueryError: there is something that is no query.
    """
    if isinstance(value, list | tuple) and not value:
        return ()
    found = _read(value, beside)
    return (found,) if isinstance(found, Query) else tuple(as_query(one, beside=beside) for one in found)


def _read(value: Any, beside: Path | None) -> Query | Sequence[Any]:
    if isinstance(value, Query):
        return value
    if type(value) is int:  # nothing else, and whether it is a path costs more to ask
        return row(value)
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, Term):
        return Query((value,))
    if isinstance(value, os.PathLike):
        return image(_found(value, beside))
    if is_number(value):
        return row(value)
    if isinstance(value, list | tuple):
        return vector(value) if value and all(map(_is_real, value)) else value
    if (
        isinstance(value, bytes | bytearray | memoryview)
        or hasattr(value, "convert")
        or hasattr(value, "read")
    ):
        return image(value)
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        return _from_array(as_array(value))
    raise QueryError(_refusal(value))


def _from_array(array: NDArray[Any]) -> Query | Sequence[Any]:
    kind, axes = array.dtype.kind, array.ndim
    if axes == 0 and kind in "iu":
        return row(int(array))
    if kind in "OSU" and axes == 1:
        return array.tolist()  # type: ignore[no-any-return]
    if array.dtype == np.uint8 and axes > 1:
        return image(array) if axes < 4 else list(array)
    if kind in "fiu" and axes in {1, 2}:
        return vector(array) if axes == 1 or len(array) == 1 else list(array)
    if kind == "f" and axes == 3:
        raise QueryError(
            f"an array {array.shape} of {array.dtype} is no query; pixels are uint8, so give (pixels * 255).astype('uint8')"
        )
    if kind == "b":
        raise QueryError("an array of truth values is no query; which rows may be found is said by `mask=`")
    raise QueryError(
        f"an array {array.shape} of {array.dtype} is no query; a vector is (d,), a batch (n, d), pixels are uint8 (h, w, 3)"
    )


def _words(words: str) -> Query:
    if has_image_suffix(words):
        warnings.warn(
            f"{words!r} is taken as words; to ask with an image file give Path({words!r}) or "
            f"retrieval.image({words!r})",
            stacklevel=_outside(),
        )
    return text(words)


def _found(path: os.PathLike[str], beside: Path | None) -> Path:
    found = existing(os.fspath(path), beside)
    if found is not None:
        return found
    if os.path.isdir(path):
        raise QueryError(
            f"{os.fspath(path)!r}: a folder, not an image; name a file in it, or search below it with `under=…`"
        )
    raise QueryError(f"{os.fspath(path)!r}: no such file")


def _refusal(value: Any) -> str:
    name = type(value).__name__
    if value is None:
        return f"None is no query; {_WHAT}"
    if isinstance(value, bool | np.bool_):
        return f"a truth value is no query; {_WHAT}"
    if isinstance(value, AbstractSet):
        return f"a {name} has no order; give the queries in a list"
    if isinstance(value, Iterator):
        return f"a {name} can be read only once; give the queries in a list"
    if isinstance(value, Mapping) and not hasattr(value, "id"):
        return f"a {name} is no query; {_WHAT}, or a list of these"
    if isinstance(value, float | np.floating):
        return f"the number {value} is no query; a row's id is an integer, and a vector an array"
    if is_number(getattr(value, "id", None)):
        return f"a {name} is no query; give its `id`, or its file to ask with the image as it is now"
    return f"{name} is no query; {_WHAT}"


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def existing(name: str, beside: Path | None) -> Path | None:
    """Return the file of this name, in the working directory or in `beside`; None if neither has one.

    A picture of a film or document counts, too: ``clip.mp4#t=2``, ``paper.pdf#page=3``.
    """
    for folder in (Path(), beside):
        if folder is None or "\0" in name or not name:
            continue
        candidate = folder / name
        try:
            if candidate.is_file() or _is_part(os.fspath(candidate)):
                return candidate
        except OSError:  # a name too long for the file system is words
            continue
    return None


def _is_part(path: str) -> bool:
    """Say whether a path names a picture of a film or document that is there, such as ``clip.mp4#t=2``."""
    if "#" not in path:
        return False
    from retrieval.sources.media import split_path

    part = split_path(path)
    return part is not None and os.path.isfile(part[0])


def _outside() -> int:
    """Return how many frames up, for whoever calls this, the first one outside this package is."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - what warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("retrieval."):
        level, frame = level + 1, frame.f_back
    return level

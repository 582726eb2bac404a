"""Define query terms: words, images and stored rows, with weights."""

from __future__ import annotations

import os
import re
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from retrieval.errors import QueryError
from retrieval.sources import has_image_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind: TypeAlias = Literal["text", "image", "id", "vector"]

# A number with a point or a sign, or one digit; then a colon and no blank: `16:9 photo` and `2: cat` are words.
_WEIGHT = re.compile(r"([+-]?(?:\d+\.\d*|\.\d+)|[+-]\d+|\d):(?=\S)(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of a query.

    Attributes:
        kind: what `value` is.
        value: words; a path, bytes, a PIL image or a uint8 array; a row id; or a ``(d,)`` vector of the collection's space.
        weight: its share in the sum; negative to steer away from it.
    """

    kind: Kind
    value: Any
    weight: float = 1.0


def text(words: str, *, weight: float = 1.0) -> Term:
    """Ask with words, even if a file has that name."""
    if not words.strip():
        raise QueryError("the query is empty; give words, an image or an id")
    return Term(kind="text", value=words, weight=weight)


def image(source: Any, *, weight: float = 1.0) -> Term:
    """Ask with an image: a path, encoded bytes, a PIL image, a binary file object or an RGB array."""
    if hasattr(source, "read") and not _can_seek(source):  # a pipe: two encoders may read it
        source = source.read()
    return Term(kind="image", value=source, weight=weight)


def _can_seek(stream: Any) -> bool:
    seekable = getattr(stream, "seekable", None)
    return bool(seekable()) if callable(seekable) else hasattr(stream, "seek")


def row(number: int, *, weight: float = 1.0) -> Term:
    """Ask with the stored vector of the row that has this id."""
    from indexes.vectors import integer

    return Term(kind="id", value=integer(number, "the id", least=None, most=None), weight=weight)


def parse_term(query: str, *, beside: Path | None = None) -> Term:
    """Read one query as the command line takes it.

    An existing file is an image; ``2:``, ``-1:`` or ``0.5:`` in front weighs, unless a file has that whole name; everything else
    is words.

    Args:
        query: the string.
        beside: a second folder in which a relative path may lie (the collection's root: hits are printed relative to it).
    Raises:
        QueryError: it is empty, or looks like a file (an image suffix or a slash) that does not exist.
    """
    found = _existing(query, beside)
    if found is not None:
        return image(found)
    weighed = _WEIGHT.fullmatch(query)
    if weighed:
        return replace(_parse_unweighed(weighed[2], beside), weight=float(weighed[1]))
    return _parse_unweighed(query, beside)


def _parse_unweighed(query: str, beside: Path | None) -> Term:
    found = _existing(query, beside)
    if found is not None:
        return image(found)
    if "/" in query and os.path.isdir(query):
        raise QueryError(
            f"{query}: a folder, not an image; name a file in it, or search below it with `under=…`"
        )
    if "/" in query or has_image_suffix(query):
        raise QueryError(f"{query}: no such file; to ask for these words use `text={query!r}`")
    return text(query)


def as_terms(query: Any, *, beside: Path | None = None) -> tuple[Term, ...]:
    """Read whatever `Collection.search` takes as its query: one term, or a list of terms, words, paths, images, arrays.

    A `str` is words, never a file that happens to exist: services pass strangers' strings.

    Raises:
        QueryError: there is nothing in it, or something that is no query.
    """
    if isinstance(query, list | tuple):
        terms = tuple(term for part in query for term in as_terms(part, beside=beside))
        if not terms:
            raise QueryError("the query is empty; give words, an image or an id")
        return terms
    return (_as_term(query, beside),)


def subtract(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Turn terms around: search away from them."""
    return tuple(replace(term, weight=-term.weight) for term in terms)


def _as_term(query: Any, beside: Path | None) -> Term:
    import numpy as np

    if isinstance(query, Term):
        return query
    if isinstance(query, str):
        if has_image_suffix(query):
            warnings.warn(
                f"{query!r} is taken as words; to ask with an image file give Path({query!r}) or "
                f"retrieval.image({query!r})",
                stacklevel=_outside(),
            )
        return text(query)
    if isinstance(query, os.PathLike):
        found = _existing(os.fspath(query), beside)
        if found is None:
            raise QueryError(f"{os.fspath(query)!r}: no such file")
        return image(found)
    if isinstance(query, bool):
        raise QueryError("a query is words, an image, an id or a vector, not a truth value")
    if isinstance(query, int | np.integer) or (
        isinstance(query, np.ndarray) and query.ndim == 0 and query.dtype.kind in "iu"
    ):
        return row(int(query))
    if isinstance(query, np.ndarray) and query.ndim == 1:
        return Term(kind="vector", value=query)
    if (
        isinstance(query, bytes | bytearray | np.ndarray)
        or hasattr(query, "convert")
        or hasattr(query, "read")
    ):
        return image(query)
    raise QueryError(f"{type(query).__name__} is no query; give words, a path, an image, an id or a vector")


def _outside() -> int:
    """Return how many frames up, for whoever calls this, the first one outside this package is."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - what warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("retrieval."):
        level, frame = level + 1, frame.f_back
    return level


def _existing(name: str, beside: Path | None) -> Path | None:
    for folder in (Path(), beside):
        if folder is None or "\0" in name or not name:
            continue
        candidate = folder / name
        try:
            if candidate.is_file():
                return candidate
        except OSError:  # a name too long for the file system is words
            continue
    return None

"""Define `Query`: a weighted sum of words, images, rows and vectors, with ``+ - * /``."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from indexes.errors import value_text
from indexes.vectors import integer
from retrieval.collection.queries.regions import Region, as_region
from retrieval.collection.queries.values import image_source, is_number, vector_source
from retrieval.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image

Operand: TypeAlias = "Query | str | os.PathLike[str] | bytes | Image"
"""What may stand beside a query in a sum."""

Kind: TypeAlias = Literal["text", "image", "id", "vector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of a query.

    Attributes:
        kind: what `value` is.
        value: words; a path, bytes, a PIL image or a uint8 array; a row id; or a ``(d,)`` vector of the collection's space.
        weight: its share in the sum; negative to steer away from it.
        region: the part of the image that is meant; None for all of it.
    """

    kind: Kind
    value: Any
    weight: float = 1.0
    region: Region | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Term):
            return NotImplemented
        if (self.kind, self.weight, self.region) != (other.kind, other.weight, other.region):
            return False
        mine, its = self.value, other.value
        if hasattr(mine, "__array__") or hasattr(its, "__array__"):  # arrays compare number by number
            return type(mine) is type(its) and np.array_equal(mine, its)
        return bool(mine == its)

    def __hash__(self) -> int:
        return hash((self.kind, self.weight))


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """What to search for: a weighted sum of words, images, rows and vectors, each normalised first.

    Make one with `retrieval.text`, `retrieval.image`, `retrieval.row` or `retrieval.vector`, and combine them::

        retrieval.image(path) + 0.5 * retrieval.text("at night") - retrieval.text("people")

    Attributes:
        terms: the parts.
    """

    terms: tuple[Term, ...]

    __array_ufunc__: ClassVar[None] = None  # numpy leaves `0.5 * query` and `array + query` to this class

    def __post_init__(self) -> None:
        if not self.terms:
            raise QueryError("the query is empty; give words, an image or an id")

    def __add__(self, other: Operand) -> Query:
        return Query((*self.terms, *_operand(other, "+").terms))

    def __radd__(self, other: Operand) -> Query:
        if isinstance(other, int) and other == 0 and not isinstance(other, bool):  # where `sum` begins
            return self
        return _operand(other, "+") + self

    def __sub__(self, other: Operand) -> Query:
        return self + -_operand(other, "-")

    def __rsub__(self, other: Operand) -> Query:
        return _operand(other, "-") + -self

    def __neg__(self) -> Query:
        return self * -1.0

    def __pos__(self) -> Query:
        return self

    def __mul__(self, weight: float) -> Query:
        number = _weight(weight)
        return Query(tuple(replace(term, weight=number * term.weight) for term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, weight: float) -> Query:
        number = _weight(weight)
        if number == 0:
            raise QueryError("a query cannot be divided by 0; multiply it by the weight that it should have")
        return self * (1 / number)

    def __repr__(self) -> str:
        first, *rest = ((_shown(term), term.weight) for term in self.terms)
        begins = {1.0: "", -1.0: "-"}.get(first[1], f"{first[1]:g} * ")
        return f"{begins}{first[0]}" + "".join(
            f" {'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else f'{abs(weight):g} * '}{part}"
            for part, weight in rest
        )


def text(words: str, *, weight: float = 1.0) -> Query:
    """Ask with words, even if a file has that name.

    Raises:
        QueryError: they are empty, or no text.
    """
    if not isinstance(words, str):
        raise QueryError(f"{_what(words)} is no text; give words, such as retrieval.text('a red bus')")
    if not words.strip():
        raise QueryError("the query is empty; give words, an image or an id")
    return _single("text", words, weight)


def image(source: Any, *, weight: float = 1.0, region: Any = None) -> Query:
    """Ask with an image: a path, encoded bytes, a PIL image, a binary file object or a uint8 array of pixels.

    Args:
        source: the image.
        weight: its share in a sum.
        region: ``(x, y, width, height)`` of a part of the upright image, which is cut out and encoded by itself: shares of the
            image from 0 to 1, or pixels if any of the four is greater than 1. What lies outside the image is left away.
    Raises:
        QueryError: it is none of these, or the region is none.
    """
    part = None if region is None else as_region(region)
    return Query((Term(kind="image", value=image_source(source), weight=_weight(weight), region=part),))


def row(number: int, *, weight: float = 1.0) -> Query:
    """Ask with the stored vector of the row that has this id.

    Raises:
        OptionError: it is no integer.
    """
    return _single("id", integer(number, "the id", least=None, most=None), weight)


def vector(numbers: Any, *, weight: float = 1.0) -> Query:
    """Ask with a vector of the collection's space: ``(d,)`` or ``(1, d)`` real numbers, normalised by the search.

    Raises:
        QueryError: it is no such array.
    """
    return _single("vector", vector_source(numbers), weight)


def total(queries: Iterable[Query]) -> Query:
    """Add queries up.

    Raises:
        QueryError: there are none.
    """
    return Query(tuple(term for query in queries for term in query.terms))


def _single(kind: Kind, value: Any, weight: Any) -> Query:
    return Query((Term(kind=kind, value=value, weight=_weight(weight)),))


def _operand(other: Any, sign: str) -> Query:
    """Read what stands beside a query in a sum: another one, words, or an image that cannot be anything else."""
    if isinstance(other, Query):
        return other
    if isinstance(other, str):
        return text(other)
    if isinstance(other, os.PathLike | bytes) or hasattr(other, "convert"):
        return image(other)
    if is_number(other):
        raise QueryError(
            f"query {sign} {other}: numbers only multiply a query; write retrieval.row({other}) for the row of that id"
        )
    raise QueryError(
        f"query {sign} {type(other).__name__}: write retrieval.image(…) or retrieval.vector(…) for what is added"
    )


def _weight(value: Any) -> float:
    """Return a weight as a float; whether the sum can be normalised is seen when it is made."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        raise QueryError(f"{_what(value)} is no weight; multiply a query by a number, such as 0.5")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:  # an array of several numbers
        raise QueryError(
            f"{_what(value)} is no weight; multiply a query by one number, such as 0.5"
        ) from error


def _what(value: Any) -> str:
    return f"{type(value).__name__} {value_text(value, 40)}"


def _shown(term: Term) -> str:
    if term.kind == "text":
        return f"text({term.value!r})"
    if term.kind == "id":
        return f"row({term.value})"
    if term.kind == "vector":
        return f"vector(<{math.prod(getattr(term.value, 'shape', ()))} numbers>)"
    part = "" if term.region is None else f", region=({', '.join(f'{one:g}' for one in term.region)})"
    if isinstance(term.value, str | os.PathLike):
        return f"image({os.fspath(term.value)!r}{part})"
    return f"image(<{type(term.value).__name__}>{part})"

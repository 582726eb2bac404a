"""Say what was asked, in one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrieval.collection.queries import Term


def title(terms: Iterable[Term]) -> str:
    """Return the terms of a query in one line, such as ``a dog + 0.5 × at night − people``; control characters as they are."""
    return " ".join(f"{sign(term.weight, first=not place)}{label(term)}" for place, term in enumerate(terms))


def label(term: Term) -> str:
    """Return a term's words, or what its image is called."""
    if term.kind == "text":
        return str(term.value)
    if term.kind == "id":
        return f"image {term.value}"
    part = "" if term.region is None else "a part of "
    if isinstance(term.value, str | os.PathLike):
        return part + os.path.basename(os.fsdecode(term.value))
    return f"{part}an image" if term.kind == "image" else "a vector"


def sign(weight: float, *, first: bool) -> str:
    """Return what stands before a part of a query: how it is added, and its weight."""
    size = "" if abs(weight) == 1 else f"{abs(weight):g} × "
    if weight < 0:
        return f"− {size}"
    return size if first else f"+ {size}"

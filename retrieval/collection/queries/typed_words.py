"""Read a query as the command line takes it: an existing file is an image, everything else is words."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from retrieval.collection.queries.inputs import existing
from retrieval.collection.queries.terms import Query, image, text
from retrieval.errors import QueryError
from retrieval.sources import has_image_suffix
from retrieval.sources.remote import scrubbed

if TYPE_CHECKING:
    from pathlib import Path

# A number with a point or a sign, or one digit; then a colon and no blank: `16:9 photo` and `2: cat` are words.
_WEIGHT = re.compile(r"([+-]?(?:\d+\.\d*|\.\d+)|[+-]\d+|\d):(?=\S)(.+)", re.DOTALL)


def parse_query(query: str, *, beside: Path | None = None) -> Query:
    """Read one query as the command line takes it.

    An existing file is an image; ``2:``, ``-1:`` or ``0.5:`` in front weighs, unless a file has that whole name; everything else
    is words.

    Args:
        query: the string.
        beside: a second folder in which a relative path may lie (the collection's root: hits are printed relative to it).
    Raises:
        QueryError: it is empty, or looks like a file (an image suffix or a slash) that does not exist.
    """
    found = existing(query, beside)
    if found is not None:
        return image(found)
    weighed = _WEIGHT.fullmatch(query)
    if weighed:
        return float(weighed[1]) * _unweighed(weighed[2], beside)
    return _unweighed(query, beside)


def _unweighed(query: str, beside: Path | None) -> Query:
    found = existing(query, beside)
    if found is not None:
        return image(found)
    if "/" in query and os.path.isdir(query):
        raise QueryError(
            f"{query}: a folder, not an image; name a file in it, or search below it with `under=…`"
        )
    if "/" in query or has_image_suffix(query):
        shown = scrubbed(query)
        raise QueryError(f"{shown}: no such file; to ask for these words use `text={shown!r}`")
    return text(query)

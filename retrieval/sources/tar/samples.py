"""Group the members of a tar file into samples by WebDataset's convention, and read what a sample says of its images.

A sample's name is the path up to the first dot of its base name; what follows that dot, in lower case, says what the member is.
"""

from __future__ import annotations

import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from retrieval.sources import LONGEST_NAME, MOST_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrieval.sources import ColumnValue


COLUMN_SUFFIXES: Final = ("json", "cls", "txt")
"""Members that say something of the images of their sample; later ones win where two say the same."""

MOST_JSON: Final = MOST_COLUMNS - 3
"""Values of an object that become columns of their own, beside a caption, a label, and the object as text."""

MOST_TEXT: Final = 1 << 20
"""Bytes of a text that are read; a longer one is no caption."""


def split_name(path: bytes) -> tuple[bytes, bytes]:
    """Return the sample that a member belongs to, and what it is there: ``a/1.left.JPG`` is ``a/1`` and ``left.jpg``."""
    folder, slash, name = path.rpartition(b"/")
    stem, dot, suffix = name.partition(b".")
    if not stem and dot:  # a hidden file has a name that begins with a dot
        stem, _, suffix = suffix.partition(b".")
        stem = b"." + stem
    return folder + slash + stem, suffix.lower()


def read_columns(members: Iterable[tuple[str, bytes]]) -> dict[str, ColumnValue]:
    """Return the columns that the texts of a sample give.

    Args:
        members: suffix, one of `COLUMN_SUFFIXES`, and content.
    Returns:
        ``caption`` of a ``.txt``, ``label`` of a ``.cls``, a whole number where it is one, and each value of the object in
        a ``.json``, what has parts as JSON. An object with names that no column can have is besides kept as text, in ``json``.
    """
    columns: dict[str, ColumnValue] = {}
    for suffix, data in sorted(members, key=lambda member: COLUMN_SUFFIXES.index(member[0])):
        text = data[:MOST_TEXT].decode("utf-8", "replace").strip()
        if not text:
            continue
        if suffix == "txt":
            columns["caption"] = text
        elif suffix == "cls":
            columns["label"] = int(text) if text.isascii() and text.isdigit() else text
        else:
            columns |= _of_json(text)
    return columns


def _of_json(text: str) -> dict[str, ColumnValue]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {"json": text}
    if not isinstance(found, dict):
        return {"json": _plain(found)}
    named = {name: _plain(value) for name, value in found.items() if 0 < len(name) <= LONGEST_NAME}
    columns = dict(islice(named.items(), MOST_JSON))
    return columns if len(columns) == len(found) else columns | {"json": text}


def _plain(value: Any) -> ColumnValue:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return json.dumps(value, ensure_ascii=False)

"""Pack the columns of a row into bytes, and unpack them.

The bytes are a JSON object with up to two objects in it: ``header``, what was read of the image's file, and ``own``, what its
source knows besides. Of a name that both have, the source's value counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from retrieval.errors import OptionError, ShapeError, StoreCorrupt
from retrieval.sources import LONGEST_NAME, MOST_COLUMNS, ColumnSource
from retrieval.sources.remote import scrubbed

if TYPE_CHECKING:
    from collections.abc import Iterable

ColumnsLike: TypeAlias = "Mapping[str, Any] | Iterable[Mapping[str, Any]]"
"""Columns as callers give them for some rows: a dictionary for each; a pandas table also does."""

Value: TypeAlias = str | int | float | bool
"""What a column may hold; a row without a value does not name the column."""

LONGEST_TEXT: Final = 16_384
"""Characters of a text that are kept; a longer one is cut."""

_WHOLE: Final = 1 << 63  # integers from here on are kept as numbers


def pack(header: Mapping[str, Any], own: Mapping[str, Any]) -> bytes:
    """Return the bytes that the store keeps for a row: equal for equal columns, empty for none.

    Args:
        header: what was read of the image's file.
        own: what its source knows.
    Raises:
        OptionError: a name or a value that no column can have.
    """
    whole = {name: known for name, known in (("header", _clean(header)), ("own", _clean(own))) if known}
    if not whole:
        return b""
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def parts(data: bytes) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return what was read of the image's file, and what its source knows: what `pack` was given.

    Raises:
        StoreCorrupt: `pack` did not make this.
    """
    if not data:
        return {}, {}
    try:
        whole = json.loads(data.decode())  # of bytes, it would look for their encoding first
        header, own = whole.get("header", {}), whole.get("own", {})
        if not (isinstance(header, dict) and isinstance(own, dict)):
            raise TypeError("no objects")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise StoreCorrupt(
            f"vectors.lmdb: the columns of a row are no columns ({error}); run `verify`"
        ) from error
    return header, own


def unpack(data: bytes) -> dict[str, Value]:
    """Return the columns of a row by their names, sorted; raises as `parts` does."""
    header, own = parts(data)
    merged = header | own
    return {name: merged[name] for name in sorted(merged)}


def text_of(columns: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and texts of the columns that hold words: captions, labels, whatever a table says in text.

    Args:
        columns: what `unpack` returned. The times among them are no words.
    """
    return [(name, value) for name, value in columns.items() if isinstance(value, str) and name != "taken"]


def own_columns(source: Any, entry: Any) -> dict[str, Any]:
    """Return what a source knows of an entry besides its picture; nothing for a source that knows nothing.

    URLs in texts lose their passwords and signatures. Raises what `ColumnSource.columns` does.
    """
    if not isinstance(source, ColumnSource):
        return {}
    return {
        name: scrubbed(value) if isinstance(value, str) and "://" in value else value
        for name, value in source.columns(entry).items()
    }


def packed_columns(columns: ColumnsLike | None, *, count: int) -> list[bytes] | None:
    """Return the packed columns that somebody gives for some rows; None where none are given.

    Args:
        columns: a dictionary for each row; one row's alone; or a pandas table.
        count: rows that there are.
    Raises:
        OptionError: a name or a value that no column can have, or something else.
        ShapeError: not one for each row.
    """
    if columns is None:
        return None
    if hasattr(columns, "to_dict") and hasattr(columns, "columns"):
        columns = columns.to_dict("records")
    listed = [columns] if isinstance(columns, Mapping) else list(columns)
    if len(listed) != count:
        raise ShapeError(f"{count:,} rows but columns of {len(listed):,}; give one dictionary a row")
    for given in listed:
        if not isinstance(given, Mapping):
            raise OptionError(
                f"columns of a row are {type(given).__name__}; give a dictionary of names and values"
            )
    return [pack({}, given) for given in listed]


def _clean(columns: Mapping[str, Any]) -> dict[str, Value]:
    if len(columns) > MOST_COLUMNS:
        raise OptionError(
            f"{len(columns):,} columns of a row, expected at most {MOST_COLUMNS:,}; leave some out"
        )
    cleaned = {}
    for name, given in columns.items():
        if not isinstance(name, str) or not name or len(name) > LONGEST_NAME:
            raise OptionError(
                f"{name!r:.80} is no name of a column; it must be a text of 1 to {LONGEST_NAME} characters"
            )
        value = _plain(name, given)
        if value is not None:
            cleaned[_encodable(name)] = value
    return cleaned


def _plain(name: str, value: Any) -> Value | None:
    """Return a value as JSON has it; None for one that says nothing."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a number of numpy's
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _encodable(value[:LONGEST_TEXT])
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and -_WHOLE <= value < _WHOLE:
        return int(value)
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    raise OptionError(
        f"column {name!r:.80}: {type(value).__name__} is no value of a column; give text, a number, true or false, or nothing"
    )


def _encodable(text: str) -> str:
    """Replace halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode()

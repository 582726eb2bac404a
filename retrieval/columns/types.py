"""Tell the type of each column: text, integer, number, boolean or time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOLEAN: Final = "boolean"
INTEGER: Final = "integer"
NUMBER: Final = "number"
TEXT: Final = "text"
TIME: Final = "time"

_TIMES: Final = frozenset({"taken"})
"""Columns whose texts are times, where they are written as ISO 8601 says."""


def type_of(name: str, value: Any) -> str:
    """Return the type of a value of the column ``name``."""
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INTEGER
    if isinstance(value, float):
        return NUMBER
    return TIME if name in _TIMES and _is_time(value) else TEXT


def merge(one: str | None, other: str) -> str:
    """Return the type of a column with values of two types: numbers hold integers, text holds all."""
    if one is None or one == other:
        return other
    return NUMBER if {one, other} == {INTEGER, NUMBER} else TEXT


def widen(types: dict[str, str], columns: Mapping[str, Any]) -> None:
    """Let ``types`` hold the columns of one more row, too."""
    for name, value in columns.items():
        known = types.get(name)
        found = type_of(name, value)
        if known != found:
            types[name] = merge(known, found)


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False

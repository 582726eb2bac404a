"""Turn what is known of images into colours of a map: a code for each row, and what the codes mean."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MISSING: Final = 255
OTHER: Final = 254
_SHADES: Final = 64
_MOST_VALUES: Final = 250
"""Values that have a colour of their own; the others share one."""

_SHARE: Final = 0.5
"""Share of the rows with a value that those with a colour of their own have at least; otherwise a text is no category."""

_ENDS: Final = (0.02, 0.98)
_MOST_COLUMNS: Final = 20
_TIMES: Final = "time"
_NUMBERS: Final = ("integer", "number", _TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coloring:
    """One way to colour a map.

    Attributes:
        name: what it shows, such as ``group``, ``folder`` or a column.
        codes: ``(n,)`` uint8: a place in `values`, or for numbers a shade from 0 to 63; `OTHER` and `MISSING` stand for themselves.
        values: what the codes mean, the most frequent first; empty for numbers.
        ends: for numbers what the least and the greatest shade stand for, as text.
    """

    name: str
    codes: NDArray[np.uint8]
    values: tuple[str, ...] = ()
    ends: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the codes mean."""
        return {"name": self.name, "values": list(self.values), "ends": self.ends}


def category_coloring(name: str, values: Sequence[str | None]) -> Coloring:
    """Colour rows by texts; None and empty ones are missing."""
    counts = Counter(value for value in values if value)
    known = [value for value, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    known = known[:_MOST_VALUES]
    code_of = {value: code for code, value in enumerate(known)}
    codes = [code_of.get(value, OTHER) if value else MISSING for value in values]
    return Coloring(name=name, codes=np.array(codes, dtype=np.uint8), values=tuple(known))


def folder_coloring(paths: Sequence[str]) -> Coloring | None:
    """Colour rows by the first folder in which their paths differ; None where they are all in one."""
    parts = [path.split("/")[:-1] for path in paths]
    for depth in range(max(map(len, parts), default=0)):
        names = ["/".join(folders[: depth + 1]) for folders in parts]
        if len(set(names)) > 1:
            return category_coloring("folder", names)
    return None


def column_colorings(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> list[Coloring]:
    """Colour rows by each column that tells some of them apart.

    Args:
        columns: the values of each column, one a row; None for what is missing.
        types: of the columns, as `Collection.column_types` has them.
    Returns:
        the colourings, by name, at most 20. Columns with one value are left out, and texts that are nearly all different.
    """
    found: list[Coloring] = []
    for name in sorted(columns):
        made = (
            _of_numbers(name, columns[name], times=types.get(name) == _TIMES)
            if types.get(name) in _NUMBERS
            else _of_texts(name, columns[name])
        )
        if made is not None:
            found.append(made)
    return found[:_MOST_COLUMNS]


def _of_texts(name: str, values: Sequence[Any]) -> Coloring | None:
    made = category_coloring(name, [None if value is None else str(value) for value in values])
    there = int((made.codes != MISSING).sum())
    own = int((made.codes < OTHER).sum())
    usual = there / max(len(made.values), 1)
    if len(made.values) < 2 or own < _SHARE * there or usual < 2:
        return None
    return made


def _of_numbers(name: str, values: Sequence[Any], *, times: bool) -> Coloring | None:
    numbers = np.array([_number(value, times=times) for value in values], dtype=np.float64)
    there = np.isfinite(numbers)
    if not there.any():
        return None
    low, high = np.quantile(numbers[there], _ENDS).tolist()
    if low == high:
        low, high = float(numbers[there].min()), float(numbers[there].max())
    if low == high:
        return None
    codes = np.full(len(numbers), MISSING, dtype=np.uint8)
    shades = (numbers[there] - low) / (high - low) * (_SHADES - 1)
    codes[there] = np.clip(np.round(shades), 0, _SHADES - 1).astype(np.uint8)
    return Coloring(name=name, codes=codes, ends=(_text(low, times=times), _text(high, times=times)))


def _number(value: Any, *, times: bool) -> float:
    if value is None:
        return math.nan
    if times:
        return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    return float(value)


def _text(value: float, *, times: bool) -> str:
    if times:
        return datetime.fromtimestamp(value, tz=UTC).strftime("%Y-%m-%d")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

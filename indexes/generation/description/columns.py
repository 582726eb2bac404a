"""Describe the columns of a collection's rows: what the manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from indexes.fields import Fields, count, text

TABLE = "columns.arrow"
"""File of a generation: the columns of its first rows as a table; the other rows' are read from the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What is known of the columns that rows have besides their records.

    Attributes:
        headers: which columns every image's file was read for, as a number that grows with them; 0 for none.
        types: the type of each column by its name, as the layer above names types.
        rows: how many rows these are the types of, and lie in `TABLE` where there is one.
        changes: how often the store had changed columns of stored rows by then.
    """

    headers: int = 0
    types: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    changes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        return {
            "headers": self.headers,
            "types": dict(sorted(self.types.items())),
            "rows": self.rows,
            "changes": self.changes,
        }

    @classmethod
    def from_json(cls, value: Any, *, path: Path) -> Self:
        """Parse what `to_json` made; ``path`` is named in messages."""
        found = Fields(value, path=path, within="columns.")
        return cls(
            headers=found.get("headers", count),
            types=found.get("types", _types),
            rows=found.get("rows", count),
            changes=found.get("changes", count),
        )


def _types(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise TypeError("an object of texts")
    return {name: text(kind) for name, kind in value.items()}

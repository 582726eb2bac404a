"""Describe what was published beside a generation after it: rows behind it, and deletions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from indexes.fields import Fields, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """Rows and deletions that the manifest alone tells of, until the next generation takes them in.

    Attributes:
        publishes: how many there were since the generation.
        count: rows that the generation's own files tell of, the first ones.
        deleted: ids, ascending, that have a tombstone now, and none in the generation's own file.
    """

    publishes: int
    count: int
    deleted: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps of it."""
        return {"publishes": self.publishes, "count": self.count, "deleted": list(self.deleted)}

    @classmethod
    def from_json(cls, value: Any, *, path: Path, rows: int) -> Recent:
        """Parse what `to_json` made.

        Args:
            value: JSON's.
            path: named in messages.
            rows: that the manifest counts.
        """
        found = Fields(value, path=path, within="recent.")
        return cls(
            publishes=found.get("publishes", count),
            count=found.get("count", lambda number: _below(number, rows + 1)),
            deleted=found.get("deleted", lambda ids: _ascending(ids, rows)),
        )


def _below(value: Any, limit: int) -> int:
    if count(value) >= limit:
        raise ValueError(f"a whole number below {limit}")
    return int(value)


def _ascending(value: Any, rows: int) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of ids")
    ids = tuple(_below(number, rows) for number in value)
    if any(second <= first for first, second in pairwise(ids)):
        raise ValueError("ids that ascend")
    return ids

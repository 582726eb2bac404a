"""Filter the rows of all shards: each shard keeps its own flags, none of all rows are made for a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.collection.sharded.numbering import split
from retrieval.collection.sharded.shard_reader import FilterSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.vectors import Bitmap
    from retrieval.collection.sharded.asked_shards import AskedShards


class ShardFilter:
    """Which rows may be found, where they are not named one by one; it stands in for a `RowFilter`.

    Args:
        shards: whose rows they are.
        specs: of each shard by its number.
    """

    ids = None

    def __init__(self, shards: AskedShards, specs: Mapping[int, FilterSpec]) -> None:
        self._shards, self.specs = shards, specs

    @property
    def flags(self) -> Bitmap:
        """Flags of the rows of one shard after the other."""
        found = self._shards.each("flags", {number: (spec,) for number, spec in self.specs.items()})
        return np.concatenate(list(found.values()))

    def holds(self, rows: Any) -> Any:
        """Say of each of some live rows whether it may be found, in their shape."""
        ids = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        flags = np.zeros(len(ids), dtype=np.bool_)
        for number, places, own in split(ids):
            flags[places] = self._shards.one(number, "holds", self.specs[number], own)
        return flags if np.ndim(rows) else bool(flags[0])

    def searched(self, live: Bitmap) -> int:
        """Return how many rows may be found."""
        del live
        return sum(
            self._shards.each("searched", {number: (spec,) for number, spec in self.specs.items()}).values()
        )

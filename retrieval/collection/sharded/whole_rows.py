"""Map the rows of all shards in this process, for what needs all of them: a join, a measure of widths, an audit."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from indexes import forks
from indexes.join import SelfJoin
from indexes.search import Generation
from indexes.vectors import StackedRows
from retrieval.collection.sharded.numbering import of_places, to_places

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Shards
    from indexes.join import Pairs
    from indexes.vectors import Bitmap, Ids


class WholeRows:
    """The rows of all shards, mapped when they are first asked for; a row's place counts through all shards.

    Args:
        directory: of the whole.
        shards: the generations that are shown.
    """

    def __init__(self, directory: Path, shards: Shards) -> None:
        self._directory, self._shards = directory, shards
        self._lock = forks.Lock()
        self._kept = ExitStack()
        self._opened: list[Generation] | None = None
        self._counts = {shard.number: shard.manifest.count for shard in shards.shards}

    def _generations(self) -> list[Generation]:
        with self._lock:
            if self._opened is None:
                with ExitStack() as stack:
                    opened = []
                    for shard in self._shards.shards:
                        generation = Generation.open(self._directory / shard.name, shard.manifest)
                        stack.callback(generation.close)
                        opened.append(generation)
                    self._kept = stack.pop_all()
                self._opened = opened
            return self._opened

    @property
    def rows(self) -> StackedRows:
        """Every stored vector by its place; those of tombstoned rows too."""
        return StackedRows([generation.rows for generation in self._generations()])

    def join(self, threshold: float, *, at_most: int, asked: Ids | None) -> ShardJoin:
        """Prepare to find the pairs of live rows; takes what `Generation.self_join` does, with ids of the whole."""
        generations = self._generations()
        lives = [
            np.ones(shard.manifest.count, dtype=np.bool_) if generation.live is None else generation.live
            for generation, shard in zip(generations, self._shards.shards, strict=True)
        ]
        live: Bitmap = np.concatenate(lives)
        join = SelfJoin(
            self.rows,
            threshold=threshold,
            at_most=at_most,
            live=None if live.all() else live,
            asked=None if asked is None else to_places(asked, self._counts),
            index=[generation.lists_index for generation in generations],
        )
        return ShardJoin(join, self._counts)

    def close(self) -> None:
        """Let go of what was mapped."""
        with self._lock:
            self._opened = None
            self._kept.close()


class ShardJoin:
    """The pairs of rows of all shards: a `SelfJoin` with ids of the whole.

    Args:
        join: of places.
        counts: of rows, by the shards' numbers, in their order.
    """

    def __init__(self, join: SelfJoin, counts: dict[int, int]) -> None:
        self._join, self._counts = join, counts

    @property
    def blocks(self) -> int:
        """How many blocks of rows there are."""
        return self._join.blocks

    def pairs(self, block: int) -> Pairs:
        """Find the pairs of a block of rows, as `SelfJoin.pairs` does."""
        found = self._join.pairs(block)
        return replace(
            found,
            ids_a=of_places(found.ids_a, self._counts),
            ids_b=of_places(found.ids_b, self._counts),
        )

"""Ask the shards of a collection, wherever they are kept; one whose process has ended is opened again, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal

from indexes import forks
from indexes.errors import StoreCorrupt
from indexes.search import UnitedShards
from indexes.vectors import padding
from retrieval.collection.sharded.numbering import first_of
from retrieval.collection.sharded.shard_reader import ShardReader
from retrieval.errors import CollectionNotFound, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from indexes.engine import Probes
    from indexes.generation import Shard, Shards
    from indexes.vectors import Ids, Neighbors, Vectors
    from retrieval.distributed import Actor, Cluster

__all__ = ["AskedShards"]

ANSWER_SECONDS: Final = 60.0
"""Seconds within which a shard in another process has to answer."""

_MANY: Final = 100
"""Queries from which it pays to join the shards that lie in this process."""

_DAMAGED = (StoreCorrupt, CollectionNotFound, FileNotFoundError)


class AskedShards:
    """The shards of a collection, open.

    Args:
        directory: of the whole.
        shards: what `shards.json` says.
        cluster: where they are kept.
        device: where each may search.
        allow_partial: go on without shards that are missing or damaged.
    Attributes:
        missing: names of those.
    Raises:
        StoreCorrupt: a shard is missing or damaged; the message names it.
        WorkerLost: the process of one ended while it was opened.
    """

    def __init__(
        self, directory: Path, shards: Shards, cluster: Cluster, *, device: str, allow_partial: bool
    ) -> None:
        self._directory, self._cluster, self._device = directory, cluster, device
        self._shards = {shard.number: shard for shard in shards.shards}
        self._partial = allow_partial
        self._lock = forks.Lock()
        self._kept: dict[int, Actor] = {}
        self.missing: list[str] = []
        self._queries, self._joining = 0, forks.Lock()
        self._united: UnitedShards | Literal[False] | None = None  # False: they cannot be
        try:
            for shard in shards.shards:
                self._open(shard)
        except BaseException:
            self.close()
            raise

    def _open(self, shard: Shard) -> None:
        place = os.fspath(self._directory / shard.name)
        try:
            self._kept[shard.number] = self._cluster.keep(
                ShardReader, place, shard.manifest.to_json(), self._device
            )
        except _DAMAGED as error:
            if not self._partial:
                raise _named(shard, error) from error
            self._leave_out(shard)

    def _leave_out(self, shard: Shard) -> None:
        self._kept.pop(shard.number, None)
        if shard.name not in self.missing:
            self.missing.append(shard.name)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the shards that are open."""
        return list(self._kept)

    def one(self, number: int, method: str, /, *args: Any, **options: Any) -> Any:
        """Ask one shard.

        Raises:
            StoreCorrupt: it is damaged, or was left out.
            WorkerLost: its process has ended twice, or does not answer.
        """
        return self.each(method, {number: args}, **options)[number]

    def each(self, method: str, args: Mapping[int, Sequence[Any]], /, **options: Any) -> dict[int, Any]:
        """Ask shards, each with arguments of its own; all work at the same time where they are in processes of their own.

        Returns:
            the answers by the shards' numbers; where shards may be missing, those of the others.
        """
        waiting = {}
        for number, own in args.items():
            actor = self._kept.get(number)
            if actor is None:
                raise StoreCorrupt(
                    f"{self._directory / self._shards[number].name} was not opened: it is missing"
                )
            waiting[number] = self._asked(number, method, own, options)
        found = {}
        for number, answer in waiting.items():
            shard = self._shards[number]
            try:
                try:
                    found[number] = answer.get(ANSWER_SECONDS)
                except WorkerLost:
                    self._open_again(shard)
                    found[number] = self._asked(number, method, args[number], options).get(ANSWER_SECONDS)
            except WorkerLost as error:
                if not self._partial:
                    raise WorkerLost(f"{self._directory / shard.name} was not searched: {error}") from error
                self._leave_out(shard)
            except _DAMAGED as error:
                if not self._partial:
                    raise _named(shard, error) from error
                self._leave_out(shard)
        return found

    def _asked(self, number: int, method: str, args: Sequence[Any], options: dict[str, Any]) -> Any:
        return self._kept[number].ask(method, *args, **options)

    def _open_again(self, shard: Shard) -> None:
        with self._lock:
            self._kept[shard.number].close()
            self._open(shard)
            if shard.number not in self._kept:
                raise WorkerLost(f"{shard.name} cannot be opened again")

    def every(self, method: str, /, *args: Any, **options: Any) -> dict[int, Any]:
        """Ask all shards with the same arguments."""
        return self.each(method, dict.fromkeys(self._kept, args), **options)

    def united(self, queries: int) -> UnitedShards | None:
        """Return the shards joined in memory, where all lie in this process and many queries have come; None otherwise.

        Args:
            queries: how many come now.
        """
        self._queries += queries
        if self._queries >= _MANY and self._united is None:
            with self._joining:
                if self._united is None:
                    self._united = self._joined() or False
        return self._united or None

    def _joined(self) -> UnitedShards | None:
        if not self._cluster.is_here or self.missing:
            return None
        generations = list(self.every("generation").values())
        if not UnitedShards.can_be(generations):
            return None
        return UnitedShards(generations, [first_of(number) for number in self.numbers])

    def at_once(self) -> ShardsAtOnce:
        """Return the shards that are open now, for one search."""
        return ShardsAtOnce(self, self.numbers)

    def with_lists(self, numbers: Sequence[int]) -> int:
        """Return the first of some shards that has inverted lists."""
        return next(number for number in numbers if not self._shards[number].manifest.index.exact)

    @property
    def has_lists(self) -> bool:
        """Say whether a shard that is open has inverted lists."""
        return any(not self._shards[number].manifest.index.exact for number in self.numbers)

    def close(self) -> None:
        """Release all shards."""
        for actor in self._kept.values():
            actor.close()
        self._cluster.close()


class ShardsAtOnce:
    """The shards of one search, as `indexes.search.search_shards` asks them; one that is lost meanwhile finds nothing.

    Attributes:
        firsts: the ids of their first rows.
    """

    def __init__(self, asked: AskedShards, numbers: Sequence[int]) -> None:
        self._asked, self._numbers = asked, numbers
        self.firsts = [first_of(number) for number in numbers]

    def probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose lists by the first shard that has some."""
        chosen: Probes = self._asked.one(self._asked.with_lists(self._numbers), "probes", queries, nprobe)
        return chosen

    def probed(self, chosen: Probes, *, k: int) -> list[Neighbors]:
        """Search the codes of all shards."""
        found = self._asked.each("probed", self._open(dict.fromkeys(self._numbers, (chosen, k))))
        return self._in_order(found, queries=len(chosen.lists), k=k)

    def scored(self, queries: Vectors, ids: Sequence[Ids], *, k: int) -> list[Neighbors]:
        """Score the candidates of all shards."""
        pairs = zip(self._numbers, ids, strict=True)
        found = self._asked.each("scored", self._open({number: (queries, own, k) for number, own in pairs}))
        return self._in_order(found, queries=len(queries), k=k)

    def _open(self, args: dict[int, Any]) -> dict[int, Any]:
        """Leave out shards that were lost since the search began."""
        there = set(self._asked.numbers)
        return {number: own for number, own in args.items() if number in there}

    def _in_order(self, found: Mapping[int, Neighbors], *, queries: int, k: int) -> list[Neighbors]:
        return [found.get(number) or padding(queries, k) for number in self._numbers]


def _named(shard: Shard, error: Exception) -> StoreCorrupt:
    """Return an error that names the shard, and what can be done without it."""
    what = "its files are missing" if isinstance(error, FileNotFoundError) else str(error)
    return StoreCorrupt(
        f"the shard {shard.name} cannot be searched: {what}; restore it, build again, or search the others with "
        "`allow_partial=True`"
    )

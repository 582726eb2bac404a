"""Keep several shards in one process: whoever asks sends one call for all of them, and their lists can be joined there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np

from indexes import forks
from indexes.errors import StoreCorrupt
from indexes.generation import SHIFT
from indexes.search import UnitedShards, joined, search_shards
from retrieval.collection.sharded.numbering import first_of, local
from retrieval.collection.sharded.shard_reader import ShardReader
from retrieval.errors import CollectionNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from indexes.engine import Probes
    from indexes.vectors import Ids, Neighbors, Vectors

Answered = TypeVar("Answered")

DAMAGED = (StoreCorrupt, CollectionNotFound, FileNotFoundError)
"""What is raised of a shard that is missing or damaged."""

_MANY: Final = 100
"""Queries from which it pays to join the lists of shards."""


class ShardGroup:
    """Some shards of a collection, open in one process. Arguments and answers pickle and are small.

    Args:
        shards: the directory and the manifest of each by its number, as `ShardReader` takes them.
        device: where each may search.
    Attributes:
        broken: what was raised of those that could not be opened, or searched the last time that they were asked, by their
            numbers. They are asked again until somebody leaves them out.
    """

    def __init__(self, shards: Mapping[int, tuple[str, dict[str, Any]]], device: str) -> None:
        self._all: dict[int, ShardReader] = {}
        self.broken: dict[int, Exception] = {}
        self._queries, self._joining, self._changing = 0, forks.Lock(), forks.Lock()
        self._united: UnitedShards | Literal[False] | None = None  # False: they cannot be
        try:
            for number, (place, facts) in shards.items():
                try:
                    self._all[number] = ShardReader(place, facts, device)
                except DAMAGED as error:
                    self.broken[number] = error
        except BaseException:
            self.close()
            raise
        self._readers: Mapping[int, ShardReader] = self._all

    def close(self) -> None:
        """Release all shards."""
        with self._changing:
            self._united = False
        for reader in self._all.values():
            reader.close()

    @property
    def readers(self) -> Mapping[int, ShardReader]:
        """The shards that are open, by their numbers."""
        return self._readers

    def opened(self) -> tuple[list[int], dict[int, Exception]]:
        """Return the numbers of the shards that are open, and what was raised of those that are damaged."""
        return list(self._readers), dict(self.broken)

    def is_united(self) -> bool:
        """Say whether the lists of the shards are joined."""
        return bool(self._united)

    def each(
        self, method: str, args: Mapping[int, Sequence[Any]], options: Mapping[str, Any]
    ) -> dict[int, tuple[Any, Exception | None]]:
        """Ask shards, each with arguments of its own.

        Returns:
            by number what each has answered, or what was raised of one that is damaged.
        """
        found: dict[int, tuple[Any, Exception | None]] = {}
        for number, own in args.items():
            if number not in self._readers:
                found[number] = None, self.broken[number]
                continue
            try:
                found[number] = getattr(self._readers[number], method)(*own, **options), None
            except DAMAGED as error:
                found[number] = None, error
        return found

    def probes(self, queries: Vectors, nprobe: int) -> Probes:
        """Choose the lists of queries for all shards."""
        return _Readers(self).probes(queries, nprobe=nprobe)

    def probed(self, chosen: Probes, k: int, each: int) -> Neighbors:
        """Search the codes of all shards in those lists.

        Args:
            chosen: the lists.
            k: candidates wanted of all shards together.
            each: candidates that a shard finds where it is searched by itself.
        Returns:
            ids of the whole and scores by the codes, ``(q, k)``.
        """
        united = self._joined(len(chosen.lists))
        if united is not None:
            return united.probed(chosen, k=k)
        apart = _Readers(self)
        return joined(apart.probed(chosen, k=each), k=k, firsts=apart.firsts)

    def scored(self, queries: Vectors, ids: Ids, k: int) -> Neighbors:
        """Order candidates, and all rows that no list holds, by exact cosine; ids are those of the whole."""
        united = self._united
        if united:
            return united.scored(queries, ids, k=k)
        apart = _Readers(self)
        shards = np.where(ids < 0, -1, ids >> SHIFT)
        own = [np.where(shards == number, local(ids), -1) for number in apart.numbers]
        return joined(apart.scored(queries, own, k=k), k=k, firsts=apart.firsts)

    def search(self, queries: Vectors, k: int, nprobe: int, shortlist: int) -> Neighbors:
        """Do all steps of a search here, where no other process has shards.

        Returns:
            ids of the whole and exact cosines, ``(q, k)``.
        """
        united = self._joined(len(queries))
        if united is not None:
            return united.search(queries, k=k, nprobe=nprobe, shortlist=shortlist)
        apart = _Readers(self)
        return search_shards(apart, queries, k=k, nprobe=nprobe, shortlist=shortlist, firsts=apart.firsts)

    def _joined(self, queries: int) -> UnitedShards | None:
        """Return the shards joined in memory, where many queries have come; None otherwise."""
        self._queries += queries
        if self._queries >= _MANY and self._united is None:
            with self._joining:
                if self._united is None:
                    readers = self._readers
                    made: UnitedShards | Literal[False] = self._made(readers) or False
                    with self._changing:
                        if self._readers is readers and self._united is None:
                            self._united = made  # else a shard was left out meanwhile, or all are closed
        return self._united or None

    def _made(self, readers: Mapping[int, ShardReader]) -> UnitedShards | None:
        try:
            generations = [reader.generation() for reader in readers.values()]
            return UnitedShards.of(generations, [first_of(number) for number in readers])
        except DAMAGED:  # a search of each shard by itself finds which
            return None

    def leave_out(self, number: int, error: Exception) -> None:
        """Ask a shard no more: it is damaged."""
        self.broken[number] = error
        with self._changing:
            self._readers = {one: reader for one, reader in self._readers.items() if one != number}
            self._united = None


class _Readers:
    """The shards of a group asked one after the other, as `indexes.search.search_shards` asks them.

    Attributes:
        numbers: of the shards.
        firsts: ids of their first rows.
    """

    def __init__(self, group: ShardGroup) -> None:
        self._group, self._readers = group, group.readers
        self.numbers = list(self._readers)
        self.firsts = [first_of(number) for number in self.numbers]

    def probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose lists by the index of the first shard that has some."""
        for number, reader in self._readers.items():
            if reader.has_lists:
                return self._asked(number, reader.probes, queries, nprobe)
        raise StoreCorrupt("no shard that is open has lists")

    def probed(self, chosen: Probes, *, k: int) -> list[Neighbors]:
        """Search the codes of each."""
        return [self._asked(number, reader.probed, chosen, k) for number, reader in self._readers.items()]

    def scored(self, queries: Vectors, ids: Sequence[Ids], *, k: int) -> list[Neighbors]:
        """Score the candidates of each."""
        pairs = zip(self._readers.items(), ids, strict=True)
        return [self._asked(number, reader.scored, queries, own, k) for (number, reader), own in pairs]

    def _asked(self, number: int, method: Callable[..., Answered], *args: Any) -> Answered:
        """Ask a shard, and keep what is raised of one that is damaged, so that `opened` tells which it is."""
        try:
            answer = method(*args)
        except DAMAGED as error:
            self._group.broken[number] = error
            raise
        self._group.broken.pop(number, None)  # somebody has restored it
        return answer

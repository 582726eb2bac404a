"""Ask the shards of a collection, wherever they are kept; those whose process has ended are opened again, once.

Long because every way to ask must tell a shard that failed from one whose process ended.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes import forks
from indexes.errors import StoreCorrupt
from indexes.generation import INDEX
from indexes.search import JOINED_BYTES, candidates_of_each, joined, shortlists
from indexes.vectors import Neighbors, concatenated, padding
from retrieval.collection.sharded.shard_group import DAMAGED, ShardGroup
from retrieval.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from indexes.engine import Probes
    from indexes.generation import Shard, Shards
    from indexes.vectors import Vectors
    from retrieval.distributed import Actor, Answer, Cluster

ANSWER_SECONDS: Final = 60.0
"""Seconds within which shards in another process have to answer."""


OPENINGS: Final = 2
"""Processes in which shards are opened at first, one after the other, where one is lost."""

REST_SECONDS: Final = 10.0
"""Seconds until a process that could not be started is tried again, where others have its shards."""


@dataclass(eq=False, slots=True)
class _Group:
    """Shards that one process keeps.

    Attributes:
        actor: a `ShardGroup` there.
        numbers: of the shards that are open.
        rests_until: when it is asked again, on the clock of `time.monotonic`.
    """

    actor: Actor
    numbers: list[int]
    rests_until: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class _Call:
    """A call that a group has been sent.

    Attributes:
        group: that was asked.
        what: the method and its arguments.
        actor: the group's, when it was asked.
        numbers: of its open shards then.
        answer: to wait for; None where it had no shard.
    """

    group: _Group
    what: tuple[Any, ...]
    actor: Actor
    numbers: list[int]
    answer: Answer | None


class AskedShards:
    """The shards of a collection, open.

    Where the lists of all shards fit one process, each process keeps all, and queries are divided among them: rows are mapped, so they lie in memory
    once a machine. Otherwise the shards are divided.

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
        WorkerLost: the process of one ended while it was opened, `OPENINGS` times.
    """

    def __init__(
        self, directory: Path, shards: Shards, cluster: Cluster, *, device: str, allow_partial: bool
    ) -> None:
        self._directory, self._cluster, self._device = directory, cluster, device
        self._shards = {shard.number: shard for shard in shards.shards}
        self._partial = allow_partial
        self._lock = forks.Lock()
        self._groups: list[_Group] = []
        self.missing: list[str] = []
        numbers = list(self._shards)
        processes = 1 if cluster.is_here else max(1, min(len(numbers), cluster.workers))
        self._has_all = processes == 1 or _bytes_of_lists(shards) <= JOINED_BYTES
        self._turn = 0
        try:
            for first in range(processes):
                self._begin(numbers if self._has_all else numbers[first::processes])
        except BaseException:
            self.close()
            raise

    def _begin(self, numbers: list[int]) -> None:
        """Open some shards in one process; in another one where that ends meanwhile, for instance with its node."""
        for tried in range(1, OPENINGS + 1):
            group: _Group | None = None
            try:
                group = _Group(self._kept(numbers), numbers)
                self._groups.append(group)
                self._look(group, group.actor)
                return
            except WorkerLost:
                if group is not None:
                    self._groups.remove(group)
                    group.actor.close()
                if tried == OPENINGS:
                    raise

    def _kept(self, numbers: Sequence[int]) -> Actor:
        """Open some shards in one process."""
        facts = {
            number: (
                os.fspath(self._directory / self._shards[number].name),
                self._shards[number].manifest.to_json(),
            )
            for number in numbers
        }
        return self._cluster.keep(ShardGroup, facts, self._device)

    def _look(self, group: _Group, actor: Actor) -> None:
        """Leave out the shards of a group that are damaged.

        Raises:
            StoreCorrupt: there is one, and none may be missing.
        """
        numbers, broken = actor.ask("opened").get(ANSWER_SECONDS)
        for number, error in broken.items():
            if not self._partial:
                raise _named(self._shards[number], error) from error
            self._leave_out({number: error})
        group.numbers = [number for number in numbers if number not in broken]

    def _open_again(self, group: _Group, lost: Actor) -> None:
        """Open the shards of a group in another process, unless another thread has done so already.

        The group has its new actor only once it is known that no shard is damaged which may not be missing.
        """
        with self._lock:
            if group.actor is not lost or not group.numbers:
                return
            lost.close()
            actor = self._kept(group.numbers)
            try:
                self._look(group, actor)
            except BaseException:
                actor.close()
                raise
            group.actor = actor

    def _leave_out(self, numbers: Mapping[int, Exception]) -> None:
        """Ask some shards no more, for what was raised of each."""
        for group in self._groups:
            own = [number for number in group.numbers if number in numbers]
            group.numbers = [number for number in group.numbers if number not in numbers]
            for number in own:
                _sent(group, ("leave_out", number, numbers[number]))
        for number in numbers:
            if (name := self._shards[number].name) not in self.missing:
                self.missing.append(name)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the shards that are open, ascending."""
        if len(self._groups) == 1:
            return self._groups[0].numbers
        return sorted({number for group in self._groups for number in group.numbers})

    def one(self, number: int, method: str, /, *args: Any, **options: Any) -> Any:
        """Ask one shard.

        Raises:
            StoreCorrupt: it is damaged, or was left out.
            WorkerLost: its process has ended twice, or does not answer.
        """
        return self.each(method, {number: args}, **options)[number]

    def each(self, method: str, args: Mapping[int, Sequence[Any]], /, **options: Any) -> dict[int, Any]:
        """Ask shards, each with arguments of its own; all processes work at the same time.

        Returns:
            the answers by the shards' numbers, ascending; where shards may be missing, those of the others.
        """
        own: dict[int, dict[int, Sequence[Any]]] = {}
        ready = self._ready()
        for place, number in enumerate(args):
            holders = [which for which, group in enumerate(ready) if number in group.numbers]
            if not holders:
                raise StoreCorrupt(
                    f"{self._directory / self._shards[number].name} was not opened: it is missing"
                )
            own.setdefault(holders[place % len(holders)], {})[number] = args[number]
        calls = [(ready[which], ("each", method, some, options)) for which, some in own.items()]
        found = {}
        for answers in self._answers(calls):
            for number, (answer, error) in (answers or {}).items():
                if error is None:
                    found[number] = answer
                    continue
                if not self._partial:
                    raise _named(self._shards[number], error) from error
                self._leave_out({number: error})
        return {number: found[number] for number in args if number in found}

    def every(self, method: str, /, *args: Any, **options: Any) -> dict[int, Any]:
        """Ask all shards with the same arguments."""
        return self.each(method, dict.fromkeys(self.numbers, args), **options)

    def search(self, queries: Vectors, *, k: int, nprobe: int, shortlist: int) -> Neighbors:
        """Search all shards as one: lists are chosen once, and candidates of all merged before anything is reranked.

        Takes and returns what `indexes.search.search_shards` does, with ids of the whole. At least one shard has inverted lists.
        """
        groups = self._ready()
        if self._has_all or len(groups) == 1:
            return self._divided(groups, queries, k, nprobe, shortlist)
        chosen = self._probes(queries, nprobe=nprobe)
        size = max(shortlist, k)
        each = max(candidates_of_each(size, shards=len(self.numbers)), k)
        most = max(candidates_of_each(size, shards=len(groups)), k)
        codes = self._answers([(group, ("probed", chosen, most, each)) for group in groups])
        ids = shortlists([one or padding(len(queries), most) for one in codes], size=size)
        scored = [(group, ("scored", queries, own, k)) for group, own in zip(groups, ids, strict=True)]
        found = [one for one in self._answers(scored) if one is not None]
        return joined(found, k=k, firsts=[0] * len(found)) if found else padding(len(queries), k)

    def _divided(
        self, groups: Sequence[_Group], queries: Vectors, k: int, nprobe: int, shortlist: int
    ) -> Neighbors:
        """Let each group answer a part of the queries; each has all shards."""
        if len(groups) == 1:
            (alone,) = self._answers([(groups[0], ("search", queries, k, nprobe, shortlist))])
            return alone or padding(len(queries), k)
        self._turn += 1
        first = self._turn % len(groups)
        groups = [*groups[first:], *groups[:first]][: len(queries)]
        parts = np.array_split(queries, len(groups))
        calls = [
            (group, ("search", part, k, nprobe, shortlist)) for group, part in zip(groups, parts, strict=True)
        ]
        found = [one or padding(len(part), k) for one, part in zip(self._answers(calls), parts, strict=True)]
        return concatenated(found)

    def codes(self, queries: Vectors, *, k: int, nprobe: int) -> Neighbors:
        """Find each query's best ``k`` by the codes of all shards, nothing reranked; ids are those of the whole."""
        chosen = self._probes(queries, nprobe=nprobe)
        groups = self._ready()[: 1 if self._has_all else None]
        found = self._answers([(group, ("probed", chosen, k, k)) for group in groups])
        parts = [one for one in found if one is not None]
        return joined(parts, k=k, firsts=[0] * len(parts)) if parts else padding(len(queries), k)

    def _probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose the lists of queries for all shards, by the index of one."""
        while True:
            listed = [group for group in self._ready() if any(map(self._has_lists, group.numbers))]
            if not listed:
                raise StoreCorrupt(f"{self._directory}: no shard that is open has lists")
            chooser = listed[0]
            (chosen,) = self._answers([(chooser, ("probes", queries, nprobe))])
            if chosen is not None:  # else it was lost, and may be missing
                found: Probes = chosen
                return found

    def _answers(self, calls: Sequence[tuple[_Group, tuple[Any, ...]]]) -> list[Any]:
        """Ask groups at the same time; one whose process has ended is opened and asked again, once.

        Args:
            calls: groups, each with a method of `ShardGroup` and its arguments.
        Returns:
            their answers; None of a group that was lost and may be missing.
        """
        waiting = [_sent(group, what) for group, what in calls]
        return [self._answer(call) for call in waiting]

    def _answer(self, call: _Call) -> Any:
        """Wait for an answer; where each group has all shards, those that have not been asked yet answer for one that is lost.

        Each group is asked, and opened again, once at most: a query that every process dies of ends.
        """
        tried: list[_Group] = []
        while True:
            tried.append(call.group)
            lost: WorkerLost | None = None
            try:
                if call.answer is not None:
                    return self._of_group(call)
            except WorkerLost as error:
                lost = error
            # Those that rest come last, and only where nobody else is left.
            every = [*self._ready(), *(one for one in self._groups if one.numbers)]
            others = [one for one in every if one not in tried] if self._has_all else []
            if lost is not None:
                self._note_lost(call, lost, is_replaced=bool(others))
            if not others:
                return None
            call = _sent(others[0], call.what)

    def _of_group(self, call: _Call) -> Any:
        """Wait for what a group answers; None once it has no shards. It is asked again as long as damaged shards are left out of it.

        Raises:
            WorkerLost: its process has ended and cannot be opened again, or twice; or does not answer.
        """
        group, was_opened = call.group, False
        while call.answer is not None:
            try:
                return call.answer.get(ANSWER_SECONDS)
            except WorkerLost:
                if was_opened:
                    raise
                self._open_again(group, call.actor)
                was_opened = True
            except DAMAGED:
                self._look(group, group.actor)
                if group.numbers == call.numbers:  # nobody knows which
                    raise
            call = _sent(group, call.what)
        return None

    def _note_lost(self, call: _Call, error: WorkerLost, *, is_replaced: bool) -> None:
        """Let a group rest that others answer for, or leave its shards out.

        Raises:
            WorkerLost: nobody answers for it, and none may be missing; the message names its shards.
        """
        if is_replaced:
            call.group.rests_until = time.monotonic() + REST_SECONDS
        elif self._partial:
            self._leave_out(dict.fromkeys(call.numbers, error))
        else:
            names = ", ".join(os.fspath(self._directory / self._shards[one].name) for one in call.numbers)
            raise WorkerLost(
                f"{names} {'was' if len(call.numbers) == 1 else 'were'} not searched: {error}"
            ) from error

    def _ready(self) -> list[_Group]:
        """Return the groups that have shards, without those whose process could not be started a moment ago, if others are left."""
        groups = [group for group in self._groups if group.numbers]
        if not self._has_all:
            return groups
        now = time.monotonic()
        return [group for group in groups if group.rests_until <= now] or groups

    @property
    def has_lists(self) -> bool:
        """Say whether a shard that is open has inverted lists."""
        return any(self._has_lists(number) for number in self.numbers)

    def _has_lists(self, number: int) -> bool:
        return not self._shards[number].manifest.index.exact

    def close(self) -> None:
        """Release all shards."""
        for group in self._groups:
            group.actor.close()
        self._cluster.close()


def _bytes_of_lists(shards: Shards) -> int:
    """Return how large the index files of all shards are."""
    files = [shard.manifest.files.get(INDEX) for shard in shards.shards]
    return sum(file.bytes for file in files if file is not None)


class _Raised:
    """What was raised at once, where a call is made in this process."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get(self, timeout: float | None = None) -> Any:
        """Raise it."""
        del timeout
        raise self._error


def _sent(group: _Group, what: tuple[Any, ...]) -> _Call:
    """Ask a group; it raises where the answer is waited for."""
    actor, numbers = group.actor, group.numbers
    answer: Answer | None = None
    if numbers:
        try:
            answer = actor.ask(*what)
        except DAMAGED as error:
            answer = _Raised(error)
    return _Call(group, what, actor, numbers, answer)


def _named(shard: Shard, error: Exception) -> StoreCorrupt:
    """Return an error that names the shard, and what can be done without it."""
    lost = isinstance(error, FileNotFoundError)
    what = "its files are missing; restore it, or build again" if lost else str(error)
    return StoreCorrupt(
        f"the shard {shard.name} cannot be searched: {what}; or search the others with `open(allow_partial=True)`"
    )

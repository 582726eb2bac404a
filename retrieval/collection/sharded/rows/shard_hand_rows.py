"""Add, replace and delete single rows by hand in all shards: a key's row stays in its shard, new keys go to the last one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.generation import MANIFEST, read_manifest, shard_name, store_path
from indexes.store import VectorStore
from retrieval.collection import require_settled
from retrieval.collection.rows import (
    REFUSED,
    HandRows,
    hand_number,
    locked,
    opened,
    origin_of,
    plain,
    publish_by_hand,
    rows_where,
    sources_with_hand,
    swept,
)
from retrieval.collection.sharded import checked_ids, first_of, shard_of
from retrieval.columns import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from indexes.derivation import OnEvent, SharedTraining
    from indexes.generation import Manifest, Shards
    from indexes.store import WriterLock
    from indexes.vectors import Halves, Ids, Vectors
    from retrieval.collection.rows import Held

_AT_ONCE = 4096  # keys looked up in one shard after the other


@dataclass(slots=True)
class _Shard:
    """One shard, open; for writing once it has a lock."""

    directory: Path
    manifest: Manifest
    store: VectorStore
    rows: HandRows
    lock: WriterLock | None = None


class ShardHandRows:
    """The rows by hand of all shards, as they will be once all that waits is committed.

    A shard is opened for writing when it first changes. The caller holds the lock of the whole.

    Args:
        directory: of the whole.
        shards: what is published.
        stack: closes all shards; one that an error leaves is published as far as it came.
    Attributes:
        dim: width of the rows.
    Raises:
        OptionError: the encoder is being changed.
    """

    def __init__(self, directory: Path, shards: Shards, stack: ExitStack) -> None:
        self._directory, self._stack, self._limit = directory, stack, shards.shard_rows
        self._open: dict[int, _Shard] = {}
        self._manifests: list[Manifest] = []
        # A killed writer may have begun a shard that no shards.json names yet.
        while (self._place(len(self._manifests)) / MANIFEST).is_file():
            self._manifests.append(read_manifest(self._place(len(self._manifests))))
        for manifest in self._manifests:
            require_settled(manifest, what=REFUSED)
        self.dim = self._manifests[0].space.dim

    def _place(self, number: int) -> Path:
        return self._directory / shard_name(number)

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self._manifests)

    @property
    def live(self) -> int:
        """How many rows without a tombstone there will be."""
        return sum(self._shard(number).rows.live for number in range(self.count))

    @property
    def added(self) -> int:
        """Rows that were new."""
        return sum(shard.rows.added for shard in self._open.values())

    @property
    def updated(self) -> int:
        """Rows that got another vector."""
        return sum(shard.rows.updated for shard in self._open.values())

    @property
    def unchanged(self) -> int:
        """Rows that had this very vector already."""
        return sum(shard.rows.unchanged for shard in self._open.values())

    @property
    def deleted(self) -> int:
        """Rows that were deleted."""
        return sum(shard.rows.deleted for shard in self._open.values())

    def next_ids(self, count: int) -> list[int]:
        """Return the ids that the next new rows get; they are consecutive within a shard only."""
        found: list[int] = []
        for number, size in self._rooms(count):
            first = first_of(number)
            found += (
                self._shard(number).rows.next_ids(size) if number < self.count else range(first, first + size)
            )
        return found

    def checked_ids(self, ids: Any, *, where: object) -> Ids:
        """Return ids that callers give as ``(m,)`` int64, checked; flags are of one shard after the other."""
        counts = {number: self._shard(number).rows.count for number in range(self.count)}
        return checked_ids(ids, counts, where=where)

    def require_new(self, keys: Iterable[bytes]) -> None:
        """Refuse keys that rows have already; raises as `HandRows.require_new`."""
        for number, (key, shard, held) in enumerate(self._holders(keys), start=1):
            if held is not None:
                shard.rows.refuse_taken(number, key, held)

    def require_own(self, keys: Iterable[bytes]) -> None:
        """Refuse keys that rows of the source have; raises as `HandRows.require_own`."""
        for number, (key, shard, held) in enumerate(self._holders(keys), start=1):
            if held is not None:
                shard.rows.require_by_hand(number, key, held)

    def of_ids(self, ids: Ids) -> dict[int, bytes]:
        """Return some ids and their keys, if they are live rows by hand; raises as `HandRows.of_ids`."""
        rows: dict[int, bytes] = {}
        for number, own in _by_shard(ids.tolist()).items():
            rows |= self._shard(number).rows.of_ids(np.array(own))
        return rows

    def of_keys(self, keys: Iterable[bytes]) -> dict[int, bytes]:
        """Return the ids and keys of the rows that have these keys; raises as `HandRows.of_keys`."""
        return {
            shard.rows.own_id(number, key, held): key
            for number, (key, shard, held) in enumerate(self._holders(keys), start=1)
        }

    def rows_by_hand(self) -> Iterator[tuple[int, bytes]]:
        """Yield the ids and keys of the committed rows that were made by hand."""
        return chain.from_iterable(self._shard(number).rows.rows_by_hand() for number in range(self.count))

    def put(
        self,
        rows: Halves,
        keys: Sequence[bytes],
        contents: Sequence[bytes] | None = None,
        columns: Sequence[bytes] | None = None,
    ) -> list[int]:
        """Add rows, or replace those of the same keys in their shards; takes and returns what `HandRows.put` does."""
        shards = [None if held is None else shard_of(held.id) for _, _, held in self._holders(keys)]
        fresh = iter([number for number, size in self._rooms(shards.count(None)) for _ in range(size)])
        places: dict[int, list[int]] = {}
        for place, number in enumerate(shards):
            places.setdefault(next(fresh) if number is None else number, []).append(place)
        ids = [0] * len(keys)
        for number, own in places.items():
            whole = len(own) == len(keys)
            found = self._written(number).rows.put(
                rows if whole else rows[own],
                [keys[place] for place in own],
                None if contents is None else [contents[place] for place in own],
                None if columns is None else [columns[place] for place in own],
            )
            for place, one in zip(own, found, strict=True):
                ids[place] = one
        return ids

    def delete(self, rows: Mapping[int, bytes]) -> None:
        """Delete rows by their ids and keys, which `of_keys`, `of_ids` or `rows_by_hand` gave."""
        for number, own in _by_shard(rows).items():
            self._written(number).rows.delete({one: rows[one] for one in own})

    def commit(self) -> None:
        """Make all that waits durable."""
        for shard, _ in self._changed():
            shard.rows.commit()

    def commit_if_due(self) -> None:
        """Commit shards for which it is time."""
        for shard, _ in self._changed():
            shard.rows.commit_if_due()

    def where(self, condition: str) -> Ids:
        """Return the committed rows for which a condition over columns holds, ascending."""
        stores = [self._shard(number).store for number in range(self.count)]
        types: dict[str, str] = {}
        for store, manifest in zip(stores, self._manifests, strict=True):
            known = summary(store, manifest.columns, headers=0)
            types |= {} if known is None else known.types
        found = [
            first_of(number) + rows_where(self._place(number), store, condition, elsewhere=types)
            for number, store in enumerate(stores)
        ]
        return np.concatenate(found)

    def find_content(self, content: bytes) -> Ids:
        """Return the live rows of a content, ascending."""
        found = [
            first_of(number) + self._shard(number).store.find_content(content) for number in range(self.count)
        ]
        return np.concatenate(found)

    def rows(self, start: int, stop: int) -> Halves:
        """Return some rows of one shard."""
        first = first_of(shard_of(start))
        return self._shard(shard_of(start)).store.rows(start - first, stop - first)

    def publish(
        self,
        training: SharedTraining | None,
        *,
        recall: float | None,
        phrases: Callable[[], Mapping[str, Vectors]],
        progress: OnEvent | None = None,
    ) -> None:
        """Let each shard that has changed publish its rows; readers see them with the next `shards.json`.

        Args:
            training: that all shards share; None where every row is compared.
            recall: the target.
            phrases: returns queries by words that an index is tuned for, too.
            progress: is told of each step.
        """
        kind = "flat" if training is None else training.facts.factory
        for shard, lock in self._changed():
            publish_by_hand(
                shard.directory,
                shard.store,
                shard.manifest,
                shard.rows,
                lock,
                phrases=phrases,
                kind=kind,
                recall=recall,
                training=training,
                progress=progress,
            )

    def _changed(self) -> list[tuple[_Shard, WriterLock]]:
        return [(shard, shard.lock) for shard in self._open.values() if shard.lock is not None]

    def _holders(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, _Shard, Held | None]]:
        """Yield keys with the shard and the row that has each; a shard without a row where none has."""
        stream = iter(keys)
        while block := list(islice(stream, _AT_ONCE)):
            found: dict[bytes, tuple[_Shard, Held]] = {}
            for number in range(self.count):
                shard = self._shard(number)
                rest = [key for key in block if key not in found]
                found |= {key: (shard, held) for key, held in shard.rows.holders(rest) if held is not None}
            for key in block:
                yield key, *found.get(key, (self._shard(0), None))

    def _rooms(self, count: int) -> Iterator[tuple[int, int]]:
        """Say how many of so many new rows go to which shard: to the last one until it is full, then to others."""
        number = self.count - 1
        room = max(self._limit - self._shard(number).rows.live, 0)
        while count:
            size = min(count, room)
            if size:
                yield number, size
            count, number, room = count - size, number + 1, self._limit

    def _shard(self, number: int) -> _Shard:
        """Return a shard, open for reading at least."""
        shard = self._open.get(number)
        if shard is None:
            manifest, place = self._manifests[number], self._place(number)
            store = VectorStore.open(store_path(place, manifest), dim=manifest.space.dim)
            self._stack.enter_context(store)
            shard = self._open[number] = _Shard(place, manifest, store, self._hand_rows(number, store))
        return shard

    def _written(self, number: int) -> _Shard:
        """Return a shard, open for writing; one that there is not yet is begun."""
        there = self._open.get(number)
        if there is not None and there.lock is not None:
            return there
        place = self._place(number)
        lock = self._stack.enter_context(locked(place, is_shard=True))
        before = swept(place)
        like = before or self._manifests[0]
        facts: dict[str, Any] = {"space": like.space, "encoder": like.encoder, "root": like.root}
        sources = sources_with_hand(like, root=like.root)
        if before is None and like.columns is not None:
            facts["columns"] = replace(like.columns, types={}, rows=0, changes=0)
        growing = self._stack.enter_context(
            opened(
                place,
                lock,
                before,
                **facts,
                sources=None if before is not None else sources,
                with_rows=sources,
            )
        )
        manifest = before or read_manifest(place)
        if number == self.count:
            self._manifests.append(manifest)
        self._manifests[number] = manifest
        store = plain(growing)
        shard = self._open[number] = _Shard(place, manifest, store, self._hand_rows(number, store), lock)
        return shard

    def _hand_rows(self, number: int, store: VectorStore) -> HandRows:
        manifest, place = self._manifests[number], self._place(number)
        return HandRows(
            store,
            source=hand_number(manifest),
            origin=lambda source: origin_of(source, manifest.sources, place),
            first=first_of(number),
        )


def _by_shard(ids: Iterable[int]) -> dict[int, list[int]]:
    """Return some ids by the numbers of their shards."""
    found: dict[int, list[int]] = {}
    for number in ids:
        found.setdefault(shard_of(number), []).append(number)
    return found

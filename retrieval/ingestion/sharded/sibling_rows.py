"""Find the vectors of images that other shards hold, or have just given up: one that moves to another shard keeps its vector."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexes import forks
from indexes.errors import RetrievalError
from indexes.generation import published_live, read_shards, store_path
from indexes.layout import VECTORS
from indexes.store import VectorStore
from indexes.store.lmdb import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Shard
    from indexes.vectors import Vectors

_BLOCK = 4096


@dataclass(slots=True)
class _Sibling:
    """One other shard, as it was when it was looked at.

    Attributes:
        store: open for reading.
        deleted: contents of rows that have a tombstone and had none when the whole was published, with their ids.
        changed: when its store was last written.
    """

    store: VectorStore
    deleted: dict[bytes, int]
    changed: int


class SiblingRows:
    """The rows of the other shards of a collection, opened when the first content is looked for.

    Args:
        directory: of the whole.
        number: of the shard that asks.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self._directory, self._number = directory, number
        self._lock = forks.Lock()
        self._shards: list[Shard] | None = None
        self._open: dict[str, _Sibling] = {}

    def vector(self, content: bytes) -> Vectors | None:
        """Return the vector ``(1, d)`` of an image with this content; None where no other shard has or had one."""
        with self._lock:
            if self._shards is None:
                self._shards = self._others()
            for shard in self._shards:
                # A shard that cannot be read costs no more than encoding the image again.
                with suppress(RetrievalError, OSError):
                    sibling = self._sibling(shard)
                    ids = sibling.store.find_content(content)
                    number = int(ids[0]) if len(ids) else sibling.deleted.get(content)
                    if number is not None:
                        return sibling.store.rows(number, number + 1).astype(np.float32)
        return None

    def _others(self) -> list[Shard]:
        with suppress(FileNotFoundError):
            shards = read_shards(self._directory).shards
            return [shard for shard in shards if shard.number != self._number]
        return []

    def _sibling(self, shard: Shard) -> _Sibling:
        """Open a shard, and once more when it has been written since."""
        place = self._directory / shard.name
        home = store_path(place, shard.manifest)
        changed = (home / VECTORS / DATA).stat().st_mtime_ns
        known = self._open.get(shard.name)
        if known is not None and known.changed == changed:
            return known
        if known is not None:
            known.store.close()
        store = VectorStore.open(home, dim=shard.manifest.space.dim)
        live = published_live(place, shard.manifest)
        dead = store.tombstones()[: shard.manifest.count]
        gone = np.flatnonzero(dead if live is None else dead & live)
        deleted: dict[bytes, int] = {}
        for start in range(0, len(gone), _BLOCK):
            for record in store.records(gone[start : start + _BLOCK].tolist()):
                deleted[record.content] = record.id
        self._open[shard.name] = _Sibling(store, deleted, changed)
        return self._open[shard.name]

    def close(self) -> None:
        """Let go of all shards."""
        with self._lock:
            for sibling in self._open.values():
                sibling.store.close()
            self._open.clear()

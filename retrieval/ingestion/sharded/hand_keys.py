"""Refuse an image whose key a row by hand has in any shard: within one shard its own build does so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.errors import StoreCorrupt
from indexes.generation import FOLDER, HAND, shard_name, store_path
from indexes.store import VectorStore
from retrieval.collection.rows import KeyList, hand_number, is_by_hand
from retrieval.collection.sharded import first_of
from retrieval.errors import OptionError
from retrieval.ingestion import taken_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexes.generation import Shards, Source
    from indexes.store import Record


class HandKeys:
    """The keys of the rows by hand in all shards; they take eight bytes each.

    Args:
        directory: of the whole.
        shards: what is published; None for nothing.
        prune: rows may go unasked, and those of a shard that is lost with it.
    """

    def __init__(self, directory: Path, shards: Shards | None, *, prune: bool) -> None:
        self._directory, self._prune = directory, prune
        self._shards = () if shards is None else shards.shards
        self._keys = KeyList(self)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._keys)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all keys."""
        return (record.key for record in self._rows())

    def _rows(self) -> Iterator[Record]:
        """Yield the rows; their ids are those of the whole."""
        for shard in self._shards:
            if all(source.type != HAND for source in shard.manifest.sources):
                continue
            number, place = hand_number(shard.manifest), self._directory / shard_name(shard.number)
            if not place.is_dir():
                if self._prune:
                    continue
                raise StoreCorrupt(
                    f"{place} is missing, and the rows that were added to it by hand are in no source: put it back from a backup, "
                    "or build without them, with `prune=True`, and add them again"
                )
            with VectorStore.open(store_path(place, shard.manifest), dim=None) as store:
                for record in store.scan():
                    if is_by_hand(record, number):
                        yield record._replace(id=first_of(shard.number) + record.id)

    def refuse(self, key: bytes, source: Source, name: str) -> None:
        """Stop a build that lists an image of such a key.

        Args:
            key: of the image.
            source: that gives it.
            name: of this.
        Raises:
            OptionError: a row by hand has the key; nothing was changed.
        """
        if not len(self._keys) or key not in self._keys:
            return
        for record in self._rows():
            if record.key == key:
                raise OptionError(taken_by_hand(record, name, is_folder=source.type == FOLDER))

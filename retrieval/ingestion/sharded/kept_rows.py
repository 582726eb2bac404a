"""Count the rows of all shards whose image a listing still names, so that a build does not lose most of them unasked."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from indexes.errors import RetrievalError
from indexes.generation import store_path
from indexes.store import VectorStore
from retrieval.ingestion import StoredFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from indexes.generation import Shards
    from indexes.vectors import Ids
    from retrieval.sources import Listed

_BATCH: Final = 16_384
"""Images looked up at once."""


class KeptRows:
    """The rows of a source in all shards, compared with what the source lists now: 29 bytes a row.

    A row stays where an image of its key is listed, or one under a new key with the same size and time of modification: it has moved.
    Of a shard that cannot be read no row stays, so each shard asks for itself.

    Args:
        directory: of the whole.
        shards: what is published.
        source: the number of the source.
    """

    def __init__(self, directory: Path, shards: Shards, source: int) -> None:
        most = sum(shard.manifest.count for shard in shards.shards)
        self._stored = StoredFiles.of(_packed(directory, shards, source), most=most)
        self._live = shards.manifest.live
        self._waiting: list[Listed] = []
        self._new: set[bytes] = set()  # stamps of images without a row

    def add(self, image: Listed) -> None:
        """Take an image that is listed."""
        self._waiting.append(image)
        if len(self._waiting) == _BATCH:
            self._look_up()

    def _look_up(self) -> None:
        for image in self._waiting:
            if image.key in self._stored.parts:
                self._stored.find_parts(image.key, image.stamp)
        known, _ = self._stored.find(
            [image.key for image in self._waiting], [image.stamp for image in self._waiting]
        )
        self._new.update(self._waiting[place].stamp for place in np.flatnonzero(~known).tolist())
        self._waiting.clear()

    def counted(self, *, by_hand: int) -> tuple[int, int]:
        """Return how many rows there are of the source, and how many stay; of those that moved as many as the answer depends on.

        Args:
            by_hand: rows of all shards that no source lists.
        """
        rows = self._live - by_hand
        self._look_up()
        stay = int(np.count_nonzero(self._stored.found))
        if 2 * stay < rows and self._new:
            stay += self._stored.moved(self._new)
        return rows, stay


def _packed(directory: Path, shards: Shards, source: int) -> Iterator[tuple[Ids, Sequence[bytes]]]:
    """Yield the packed rows of all shards, with ids that no two of them share."""
    first = 0
    for shard in shards.shards:
        with suppress(RetrievalError, OSError):
            home = store_path(directory / shard.name, shard.manifest)
            with VectorStore.open(home, dim=None) as store:
                for ids, records in store.packed(source=source):
                    within = ids < shard.manifest.count  # a build that was killed may have added some
                    yield ids[within] + first, [records[place] for place in np.flatnonzero(within).tolist()]
        first += shard.manifest.count

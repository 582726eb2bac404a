"""`ShardedCollection`: many collections asked as one, with the methods of `Collection`.

It is a `Collection`, so that whatever takes one takes it, too: what differs is what is open, and what needs all rows in one array.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from indexes.derivation import FIT_ROWS
from indexes.generation import read_shards
from retrieval.collection import Collection, Keys
from retrieval.collection.rows import TIMEOUT
from retrieval.collection.sharded.opened_shards import OpenedShards, open_shards
from retrieval.collection.sharded.verification import verify_shards
from retrieval.collection.sharded.whole_records import WholeRecords
from retrieval.display import progress_shown
from retrieval.distributed import check_cluster
from retrieval.errors import CollectionNotFound, OptionError, StoreCorrupt, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import SupportsIndex

    from indexes.generation import FileCheck
    from retrieval.collection import Opened, Records
    from retrieval.collection.rows import KeysLike, RowsReport, RowWriter, VectorsLike
    from retrieval.encoders import EncoderLike
    from retrieval.progress import ShowProgress

_AT_ONCE = 16_384


class ShardedCollection(Collection):
    """A sharded collection opened for searching.

    A row's id is its shard's number times 2**32, plus its id in the shard. Flags of rows, such as `mask` gives, are those of one
    shard after the other.

    Args:
        directory: of the whole.
        encoder, device, root: as `Collection` has them.
        cluster: where shards are kept; None is this process.
        allow_partial: search without shards that are missing or damaged.
    """

    def __init__(
        self,
        directory: Path,
        *,
        encoder: EncoderLike | None = None,
        device: str = "auto",
        root: str | os.PathLike[str] | None = None,
        cluster: str | None = None,
        allow_partial: bool = False,
    ) -> None:
        check_cluster(cluster)
        self._cluster, self._partial = cluster, allow_partial
        super().__init__(directory, encoder=encoder, device=device, root=root)

    def _open_newest(self, before: Opened | None = None) -> Opened:
        del before
        opened = open_shards(
            self.directory, device=self._device, cluster=self._cluster, allow_partial=self._partial
        )
        return cast("Opened", opened)

    @property
    def _shards(self) -> OpenedShards:
        return cast("OpenedShards", self._opened)

    def _newest_version(self) -> tuple[int, int]:
        try:
            return read_shards(self.directory).generation, 0
        except FileNotFoundError as error:
            raise CollectionNotFound(f"no collection in {self.directory}; it was deleted or moved") from error

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the shards that are not searched."""
        return self._shards.missing

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle as the path and the options."""
        return _opened_again, (*self._place(), self._encoders.given, self._cluster, self._partial)

    def __copy__(self) -> ShardedCollection:
        return _opened_again(*self._place(), self._encoders.given, self._cluster, self._partial)

    def search(self, *query: Any, **options: Any) -> Any:
        """Search as `Collection.search` does; where shards may be missing, once more without one that is lost meanwhile."""
        known = len(self.missing)
        try:
            return super().search(*query, **options)
        except (WorkerLost, StoreCorrupt):
            if not self._partial or len(self.missing) == known:
                raise
        return super().search(*query, **options)

    def keys(self) -> Any:
        """Return the keys of all rows, in the order of their ids; they are read while you go through them."""
        return _Keys(self)

    def export(self) -> tuple[np.ndarray[Any, np.dtype[np.float16]], list[str]]:
        """Return all live vectors ``(n, d)`` float16 and their keys, in the order of ids."""
        with self._using() as opened:
            shards = cast("OpenedShards", opened)
            rows = np.empty((len(self), self.space.dim), dtype=np.float16)
            names: list[str] = []
            for part, keys in shards.all_rows(_AT_ONCE):
                rows[len(names) : len(names) + len(part)] = part
                names += [os.fsdecode(key) for key in keys]
            return rows[: len(names)], names

    def verify(self) -> list[FileCheck]:
        """Check every file of all shards, and those of the whole."""
        from retrieval.collection.relevance import check_calibration

        return [*verify_shards(self.directory), *check_calibration(self.directory)]

    def info(self) -> dict[str, Any]:
        """Return what ``retrieve info --json`` prints, with a line for each shard.

        ``training_fit`` of a shard is how far its rows lie from the centroids of their lists, mean and squared, beside how far they lay when these were
        trained: 1 is as well as then, more is worse. A shard that was begun later is compared with the others.
        """
        shards = self._shards.shards
        fits = self._fits()
        return super().info() | {
            "shards": [
                {
                    "name": shard.name,
                    "rows": shard.manifest.live,
                    "generation": shard.manifest.generation,
                    "kind": shard.manifest.index.kind,
                    "recall_at_10": shard.manifest.index.recall_at_10,
                    "training_fit": fits.get(shard.number),
                    "missing": shard.name in self.missing,
                }
                for shard in shards.shards
            ],
            "training": None if shards.training is None else shards.training.to_json(),
        }

    def _fits(self) -> dict[int, float]:
        """Return how well the training fits each shard that has lists, by number."""
        with self._using() as opened:
            shards = cast("OpenedShards", opened)
            training = shards.shards.training
            if training is None or not training.residuals:
                return {}
            found = {
                number: (own, training.residual_of(number))
                for number, own in shards.list_residuals(FIT_ROWS).items()
            }
            return {number: round(now / then, 3) for number, (now, then) in found.items() if then}

    def changed(self) -> bool:
        """Say, from modification times, whether images came or went since the build."""
        shards = self._shards.shards.shards
        return any(self.source.changed(self.directory / shard.name) for shard in shards)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many rows each shard has, those with a tombstone too."""
        return tuple(shard.manifest.count for shard in self._shards.shards.shards)

    def open_records(self) -> Records:
        """Open the records of the rows of all shards in this process; see `Collection.open_records`.

        Raises:
            StoreCorrupt: a shard is missing.
        """
        with self._using() as opened:
            shards = cast("OpenedShards", opened)
            shards.whole()
            return WholeRecords(self.directory, shards.shards, shards.live)

    @property
    def live(self) -> Any:
        """Which rows have no tombstone, of one shard after the other."""
        with self._using() as opened:
            return opened.live

    def ids_by_path(self) -> NoReturn:
        """Refuse: a dictionary of everything."""
        self._refuse("`ids_by_path`", "`id_of` gives the id of a key")

    def writer(self, *, timeout: float = TIMEOUT) -> AbstractContextManager[RowWriter]:
        """Give a block in which many rows are added, replaced and deleted; takes and raises what `Collection.writer` does.

        A row that is replaced stays in its shard. New rows go to the last shard until that is full, then another begins.
        """
        from retrieval.collection.sharded.rows import writing_shards

        return writing_shards(self, timeout=timeout)

    def sync_vectors(
        self,
        vectors: VectorsLike,
        keys: KeysLike,
        *,
        prune: bool = False,
        timeout: float = TIMEOUT,
        progress: ShowProgress = True,
    ) -> RowsReport:
        """Make the rows by hand of all shards equal to vectors; takes and raises what `Collection.sync_vectors` does."""
        from retrieval.collection.sharded.rows import sync_shards

        with progress_shown(progress) as watch:
            return sync_shards(self, vectors, keys, prune=prune, timeout=timeout, progress=watch)

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise OptionError(
            f"{self.directory} is a sharded collection, and {what} work on one collection; {instead}"
        )


class _Keys(Keys):
    """The keys of all rows of all shards, read while you go through them."""

    def __iter__(self) -> Iterator[str]:
        with self._collection._using() as opened:  # noqa: SLF001 - a part of it
            for _, keys in cast("OpenedShards", opened).all_rows(_AT_ONCE):
                yield from map(os.fsdecode, keys)


def _opened_again(
    directory: str, device: str, root: str | None, encoder: Any, cluster: str | None, partial: bool
) -> ShardedCollection:
    from pathlib import Path

    return ShardedCollection(
        Path(directory), encoder=encoder, device=device, root=root, cluster=cluster, allow_partial=partial
    )

"""Read one shard: the operations that a search over all shards asks of each, in this process or in another one.

Arguments and answers pickle and are small: ids, scores, a few vectors, records of hits. Ids are those within the shard.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexes import forks
from indexes.generation import Manifest
from indexes.vectors import Neighbors, rescored, spread
from retrieval.collection import open_published
from retrieval.collection.queries import RowFilter, row_filter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexes.engine import Probes
    from indexes.search import Generation
    from indexes.store import Record
    from indexes.vectors import Bitmap, Halves, Ids, Vectors
    from retrieval.names import AskedWord, LookedUp


class FilterSpec(NamedTuple):
    """Which rows of a shard may be found, as a caller said it.

    Attributes:
        root: the folder that keys are relative to.
        under, glob, where: as `Collection.search` has them.
        mask: flags of the shard's rows.
        ids: of the shard's rows, ascending.
        columns: types of the columns of all shards, where there is a condition.
    """

    root: str
    under: str | None = None
    glob: str | None = None
    where: Any = None
    mask: Bitmap | None = None
    ids: Ids | None = None
    columns: Mapping[str, str] | None = None


class ShardReader:
    """One shard, open at the generation that `shards.json` names.

    Args:
        directory: the shard's.
        facts: its manifest, as `Manifest.to_json` gives it.
        device: as `open_published` has it.
    Raises:
        CollectionNotFound, StoreCorrupt, FileNotFoundError: as that.
    """

    def __init__(self, directory: str, facts: dict[str, Any], device: str) -> None:
        place = Path(directory)
        self._opened = open_published(place, Manifest.from_json(facts, path=place), device=device)
        self._lock = forks.Lock()
        self._filter: tuple[FilterSpec, RowFilter | None] | None = None

    def close(self) -> None:
        """Release every file."""
        self._opened.close()

    def generation(self) -> Generation:
        """Return what is open, for callers in this process."""
        return self._opened.generation

    @property
    def has_lists(self) -> bool:
        """Say whether its index has inverted lists."""
        return not self._opened.manifest.index.exact

    def list_residual(self, most: int) -> float | None:
        """Return how far rows lie from the centroids of their lists, mean and squared, of up to so many; None without lists or rows."""
        live = self._opened.live_ids()
        if not len(live):
            return None
        return self._opened.generation.list_residual(live[spread(len(live), most)])

    def probes(self, queries: Vectors, nprobe: int) -> Probes:
        """Choose the lists of queries for all shards."""
        return self._opened.generation.probes(queries, nprobe=nprobe)

    def probed(self, chosen: Probes, k: int) -> Neighbors:
        """Search the codes in those lists."""
        return self._opened.generation.probed(chosen, k=k)

    def scored(self, queries: Vectors, ids: Ids, k: int) -> Neighbors:
        """Order candidates, and all rows that no list holds, by exact cosine."""
        generation = self._opened.generation
        found = generation.scored(queries, ids, k=k, unlisted=True)
        return rescored(found, queries, generation.rows)

    def search(self, queries: Vectors, spec: FilterSpec | None, options: dict[str, Any]) -> Neighbors:
        """Search the shard for itself; ``options`` are those of `Opened.search`."""
        found = self._opened.search(queries, words=False, keep=self._kept(spec), **options)
        return Neighbors(ids=found.ids, scores=found.scores)

    def _kept(self, spec: FilterSpec | None) -> RowFilter | None:
        """Return which rows a filter leaves; the last one is kept, since a search asks for it several times."""
        if spec is None:
            return None
        with self._lock:
            if self._filter is not None and _is_same(self._filter[0], spec):
                return self._filter[1]
        if spec.ids is not None:
            kept: RowFilter | None = RowFilter(self._opened.manifest.count, ids=spec.ids)
        else:
            kept = row_filter(
                self._opened,
                root=Path(spec.root),
                under=spec.under,
                glob=spec.glob,
                ids=None,
                mask=spec.mask,
                where=spec.where,
                elsewhere=spec.columns,
            )
        with self._lock:
            self._filter = spec, kept
        return kept

    def flags(self, spec: FilterSpec) -> Bitmap:
        """Return which rows a filter leaves, ``(count,)``; deleted ones never."""
        kept = self._kept(spec)
        live = self._opened.live
        return live.copy() if kept is None else kept.flags & live

    def holds(self, spec: FilterSpec, ids: Ids) -> Bitmap:
        """Say of each of some rows whether a filter leaves it."""
        kept = self._kept(spec)
        return np.ones(len(ids), dtype=np.bool_) if kept is None else kept.holds(ids)

    def searched(self, spec: FilterSpec) -> int:
        """Return how many rows a filter leaves."""
        kept = self._kept(spec)
        return self._opened.manifest.live if kept is None else kept.searched(self._opened.live)

    def is_live(self, ids: Ids) -> Bitmap:
        """Say of each of some rows whether it has no tombstone."""
        return np.asarray(self._opened.is_live(ids))

    def live(self) -> Bitmap:
        """Return which rows have no tombstone, ``(count,)``."""
        return np.array(self._opened.live)

    def vectors(self, ids: Ids) -> Vectors:
        """Return some rows."""
        return self._opened.vectors(ids)

    def rows(self, start: int, stop: int) -> Halves:
        """Return the stored live rows from one id to before another."""
        return np.array(self._opened.generation.rows[start:stop])[self._opened.live[start:stop]]

    def record(self, number: int) -> Record:
        """Return a row's record."""
        return self._opened.store.record(number)

    def records(self, ids: Sequence[int]) -> list[Record]:
        """Return the records of some rows."""
        return self._opened.store.records(ids)

    def columns(self, ids: Sequence[int]) -> list[bytes]:
        """Return the packed columns of some rows."""
        return self._opened.store.columns(ids)

    def column_types(self) -> dict[str, str]:
        """Return the types of the columns by their names."""
        return self._opened.columns.types()

    def column_table(self) -> Any:
        """Return the columns of the live rows as an Arrow table, by their own names behind the first."""
        table, types = self._opened.columns.table()
        table = table.rename_columns([table.column_names[0], *sorted(types)])
        live = self._opened.live_ids()
        return table if len(live) == len(table) else table.take(live)

    def find(self, key: bytes) -> int | None:
        """Return the row of a key."""
        return self._opened.find(key)

    def find_contents(self, contents: Sequence[bytes]) -> dict[bytes, list[int]]:
        """Return the rows of contents."""
        found = self._opened.store.find_contents(contents)
        return {content: list(map(int, ids)) for content, ids in found.items()}

    def keys(self, start: int, stop: int) -> list[bytes | None]:
        """Return the keys from one id to before another; None for a deleted row."""
        live = self._opened.live[start:stop].tolist()
        found = self._opened.store.keys(start)
        return [key if lives else None for key, lives in zip(found, live, strict=False)]

    def folders(self, under: str | None) -> dict[str, int]:
        """Return the folders below one, with how many rows each has."""
        return self._opened.paths().folders(under)

    def named_by(self, ids: Ids) -> list[dict[str, set[str]]]:
        """Return the words of the names of some rows."""
        return self._opened.names.named_by(ids)

    def look_up(
        self, words: Sequence[AskedWord], spec: FilterSpec | None, *, all_rows: bool
    ) -> LookedUp | None:
        """Find the rows that have words in their names."""
        kept = self._kept(spec)

        def allowed(ids: Ids) -> Bitmap:
            live = self.is_live(ids)
            return live if kept is None else live & kept.holds(ids)

        return self._opened.names.look_up(words, allowed=allowed, all_rows=all_rows)


def _is_same(one: FilterSpec, other: FilterSpec) -> bool:
    plain = (one.root, one.under, one.glob) == (other.root, other.under, other.glob)
    arrays = ((one.where, other.where), (one.mask, other.mask), (one.ids, other.ids))
    return plain and all(
        mine is theirs or (mine is not None and theirs is not None and np.array_equal(mine, theirs))
        for mine, theirs in arrays
    )

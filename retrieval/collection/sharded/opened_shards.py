"""Open all shards that `shards.json` names: what `Opened` is for one collection, with ids of the whole.

Long because it stands in for every method of `Opened` and of its generation.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from indexes.derivation import SharedTraining
from indexes.generation import Inverted, read_shards
from indexes.migration import Blend
from indexes.search import joined, lengthened, reaching
from indexes.store.lmdb import Lease
from indexes.vectors import Neighbors, optional_integer, places, spread
from retrieval.collection.queries import RowFilter, live_ids
from retrieval.collection.sharded.asked_shards import AskedShards
from retrieval.collection.sharded.numbering import checked_ids, first_of, of_places, split, to_places
from retrieval.collection.sharded.shard_filter import ShardFilter
from retrieval.collection.sharded.shard_reader import FilterSpec
from retrieval.collection.sharded.shard_records import ShardColumns, ShardNames, ShardPaths, ShardStore
from retrieval.collection.sharded.whole_rows import WholeRows
from retrieval.distributed import open_cluster
from retrieval.errors import CollectionNotFound, OptionError, ShapeError, StoreCorrupt
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexes.generation import Manifest, Shards
    from indexes.vectors import Bitmap, Halves, Ids, Space, StackedRows, Vectors
    from retrieval.collection import Opened
    from retrieval.collection.sharded.whole_rows import ShardJoin


def open_shards(directory: Path, *, device: str, cluster: str | None, allow_partial: bool) -> OpenedShards:
    """Open the newest publish of a sharded collection, whatever is published meanwhile.

    Raises:
        CollectionNotFound: there is none.
        StoreCorrupt: a shard is missing or damaged; the message names it.
    """
    while True:
        try:
            shards = read_shards(directory)
        except FileNotFoundError as error:
            raise CollectionNotFound(f"no collection in {directory}; it was deleted or moved") from error
        try:
            return OpenedShards(
                directory,
                shards,
                AskedShards(
                    directory, shards, open_cluster(cluster), device=device, allow_partial=allow_partial
                ),
            )
        except OSError:
            if read_shards(directory).generation == shards.generation:
                raise


class OpenedShards:
    """All shards, open until `close`; stands in for `Opened` wherever rows are asked for by their ids.

    Attributes:
        directory: of the whole.
        shards: what `shards.json` says.
        manifest: what the manifest of the whole would say.
        generation: gives rows by id; refuses what needs one array of all rows.
        store, names, columns: the records, the names and the columns of all rows.
    """

    pair = None
    views = None

    def __init__(self, directory: Path, shards: Shards, asked: AskedShards) -> None:
        self.directory, self.shards, self._asked = directory, shards, asked
        self.manifest: Manifest = shards.manifest
        self.store = ShardStore(asked)
        self.names = ShardNames(asked, rows=self.manifest.live)
        self.columns = ShardColumns(asked)
        self.generation = _Rows(self)
        self._counts = {shard.number: shard.manifest.count for shard in shards.shards}
        self._whole = WholeRows(directory, shards)
        self._lease = Lease(f"{directory}: the collection is closed; open it again")

    def enter(self) -> None:
        """Begin to use it: `close` waits for `leave`.

        Raises:
            StoreClosed: it is closed.
        """
        self._lease.__enter__()

    def leave(self) -> None:
        """End what `enter` began."""
        self._lease.__exit__()

    def close(self) -> None:
        """Release all shards, once nobody uses them any more."""
        if self._lease.close():
            self._whole.close()
            self._asked.close()

    def whole(self) -> WholeRows:
        """Return the rows of all shards, mapped in this process wherever the shards are kept.

        Raises:
            StoreCorrupt: a shard is missing.
        """
        if self.missing:
            raise StoreCorrupt(
                f"{self.directory}: the shard {self.missing[0]} is missing, and what was asked for needs the rows of all; restore it"
            )
        return self._whole

    def places(self, ids: Ids) -> Ids:
        """Return where rows stand in flags of all rows, and in `ShardedCollection.rows`."""
        return to_places(self.row_ids(ids), self._there())

    def ids_at(self, places: Ids) -> Ids:
        """Return the ids of rows by their places."""
        return of_places(np.asarray(places, dtype=np.int64), self._there())

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of shards that are not searched."""
        return tuple(self._asked.missing)

    @property
    def space(self) -> Space:
        """The space of queries and rows."""
        return self.manifest.space

    @property
    def encoder(self) -> str | None:
        """How the encoder is named."""
        return self.manifest.encoder

    @property
    def live(self) -> Bitmap:
        """Which rows have no tombstone, of one shard after the other."""
        return np.concatenate(list(self._asked.every("live").values()))

    def live_ids(self) -> Ids:
        """Return the ids of all rows without a tombstone, ascending."""
        found = self._asked.every("live")
        return np.concatenate([first_of(number) + np.flatnonzero(flags) for number, flags in found.items()])

    def spread_ids(self, most: int) -> Ids:
        """Return the ids of some live rows, spread evenly over all."""
        counts = self._there()
        ids = of_places(spread(sum(counts.values()), most), counts)
        live: Ids = ids[self.is_live(ids)]
        return live

    def _there(self) -> dict[int, int]:
        """Return the rows of each shard that is open."""
        return {number: self._counts[number] for number in self._asked.numbers}

    def is_live(self, ids: Any) -> Any:
        """Say of each of some rows whether it has no tombstone, in the shape of `ids`."""
        numbers = np.atleast_1d(np.asarray(ids, dtype=np.int64)).ravel()
        flags = np.zeros(len(numbers), dtype=np.bool_)
        for shard, where, own in split(numbers):
            flags[where] = self._asked.one(shard, "is_live", own)
        return flags.reshape(np.shape(ids)) if np.ndim(ids) else bool(flags[0])

    def row_ids(self, ids: Any) -> Ids:
        """Return row ids, checked, as `indexes.vectors.row_ids` does; flags are of one shard after the other."""
        return checked_ids(ids, self._there(), where=self.directory)

    def require_settled(self, what: str) -> None:
        """Nothing changes its encoder."""

    def row_filter(
        self, *, root: Path, under: Any, glob: Any, ids: Any, mask: Any, where: Any = None
    ) -> RowFilter | ShardFilter | None:
        """Return which rows pass all filters; None where there are none."""
        if all(given is None for given in (under, glob, ids, mask, where)):
            return None
        named = None if ids is None else live_ids(cast("Opened", self), ids, root=root)
        kept = None
        if any(given is not None for given in (under, glob, mask, where)):
            below = None if under is None else keys.relative(under, root)
            flags, own_where = self._cut(mask, "mask"), self._cut(where, "where")
            types = self.columns.types() if isinstance(where, str) else None
            kept = ShardFilter(
                self._asked,
                {
                    number: FilterSpec(
                        os.fspath(root), below, glob, own_where[number], flags[number], columns=types
                    )
                    for number in self._asked.numbers
                },
            )
            kept.searched(np.empty(0, dtype=np.bool_))  # whatever is wrong with it is said now
        if named is None:
            return kept
        if kept is not None:
            named = named[kept.holds(named)]
        return RowFilter(self.manifest.count, ids=named)

    def _cut(self, given: Any, name: str) -> dict[int, Any]:
        """Cut flags of all rows into those of each shard; a text or None is for all."""
        numbers = self._asked.numbers
        if given is None or isinstance(given, str):
            return dict.fromkeys(numbers, given)
        flags = np.asarray(given)
        total = sum(self._counts[number] for number in numbers)
        if flags.dtype != np.bool_ or flags.shape != (total,):
            raise ShapeError(
                f"{name}: expected ({total},) truth values, those of one shard after the other, as `mask` gives them; got shape "
                f"{flags.shape} of {flags.dtype}"
            )
        parts = np.split(flags, np.cumsum([self._counts[number] for number in numbers])[:-1])
        return dict(zip(numbers, parts, strict=True))

    def neighbors(self, queries: Vectors, *, words: bool, keep: Any = None, **options: Any) -> Neighbors:
        """Search for ids and scores alone."""
        found = self.search(queries, words=words, keep=keep, **options)
        return Neighbors(ids=found.ids, scores=found.scores)

    def search(
        self,
        queries: Vectors,
        *,
        words: bool,
        k: int,
        keep: RowFilter | ShardFilter | None = None,
        nprobe: int | None = None,
        shortlist: int | None = None,
        exact: bool = False,
        dim: int | None = None,
    ) -> Blend:
        """Search all shards; takes what `Opened.search` does."""
        del words
        k = places(k, queries=len(queries), rows=self.manifest.count)
        nprobe, shortlist = optional_integer(nprobe, "nprobe"), optional_integer(shortlist, "shortlist")
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.space.dim:
            raise ShapeError(f"queries: expected (q, {self.space.dim}), got {queries.shape}")
        index = self.manifest.index
        alone = keep is not None or exact or dim is not None or not len(queries)
        if alone or not isinstance(index, Inverted) or not self._asked.has_lists:
            found = self._each_alone(
                queries, keep, k=k, nprobe=nprobe, shortlist=shortlist, exact=exact, dim=dim
            )
        else:
            nprobe = nprobe or reaching(index.nprobe or 1, k=k)
            shortlist = max(shortlist or lengthened(index.shortlist or 4 * k, k), k)
            found = self._asked.search(queries, k=k, nprobe=nprobe, shortlist=shortlist)
            self._fill(found, queries, k=k)
        return Blend(
            ids=found.ids,
            scores=found.scores,
            cosines=found.scores,
            renewed=np.zeros(found.ids.shape, dtype=np.bool_),
        )

    def codes(self, queries: Vectors, *, k: int, nprobe: int | None = None) -> Neighbors:
        """Find each query's best ``k`` rows by the codes alone, in lists that are chosen once.

        Raises:
            OptionError: every row is compared, there are no codes.
        """
        index = self.require_codes()
        return self._asked.codes(
            np.ascontiguousarray(queries, dtype=np.float32), k=k, nprobe=nprobe or index.nprobe or 1
        )

    def require_codes(self) -> Inverted:
        """Return how all shards are searched, by their codes.

        Raises:
            OptionError: every row is compared, there are no codes.
        """
        index = self.manifest.index
        if not isinstance(index, Inverted) or not self._asked.has_lists:
            raise OptionError(
                f"{self.directory} is searched exactly (flat), so nothing is lost in codes; "
                'a compressed index has some: build it with `kind="ivfrabitq"`, ivfpq or a FAISS factory string'
            )
        return index

    def _each_alone(
        self, queries: Vectors, keep: RowFilter | ShardFilter | None, *, k: int, **options: Any
    ) -> Neighbors:
        """Let each shard search for itself, and merge what they find."""
        specs = self._specs(keep)
        found = self._asked.each(
            "search", {number: (queries, spec, {"k": k, **options}) for number, spec in specs.items()}
        )
        if not found:
            return Neighbors(
                ids=np.full((len(queries), k), -1, dtype=np.int64),
                scores=np.full((len(queries), k), -np.inf, dtype=np.float32),
            )
        return joined(list(found.values()), k=k, firsts=[first_of(number) for number in found])

    def _specs(self, keep: RowFilter | ShardFilter | None) -> dict[int, FilterSpec | None]:
        """Return the filter of each shard that has rows which may be found."""
        if keep is None:
            return dict.fromkeys(self._asked.numbers)
        if isinstance(keep, ShardFilter):
            return dict(keep.specs)
        ids = np.empty(0, dtype=np.int64) if keep.ids is None else keep.ids
        there = set(self._asked.numbers)
        return {shard: FilterSpec("", ids=own) for shard, _, own in split(ids) if shard in there}

    def _fill(self, found: Neighbors, queries: Vectors, *, k: int) -> None:
        """Search exactly for those queries for which the lists held fewer rows than there are."""
        if not len(queries) or found.ids[:, -1].min() >= 0:
            return
        short = np.flatnonzero((found.ids >= 0).sum(axis=1) < min(k, self.manifest.live))
        if short.size:
            whole = self._each_alone(queries[short], None, k=k, exact=True)
            found.ids[short], found.scores[short] = whole.ids, whole.scores

    def vectors(self, ids: Any) -> Vectors:
        """Return some rows: ``(m, d)`` float32, in their order."""
        numbers = self.row_ids(ids)
        rows = np.empty((len(numbers), self.space.dim), dtype=np.float32)
        for shard, where, own in split(numbers):
            rows[where] = self._asked.one(shard, "vectors", own)
        return rows

    def list_residuals(self, most: int) -> dict[int, float]:
        """Return `ShardReader.list_residual` of each shard that has lists, by number."""
        found = self._asked.every("list_residual", most)
        return {number: one for number, one in found.items() if one is not None}

    def find(self, key: bytes) -> int | None:
        """Return the row with this key, None if there is none."""
        return self.store.find(key)

    def paths(self) -> ShardPaths:
        """Return the keys of all rows, as paths."""
        return ShardPaths(self._asked)

    def all_rows(self, step: int) -> Any:
        """Yield the live rows and keys of one shard after the other, ``step`` rows at a time: float16 rows and keys."""
        for number in self._asked.numbers:
            for start in range(0, self._counts[number], step):
                stop = min(start + step, self._counts[number])
                found: Sequence[bytes | None] = self._asked.one(number, "keys", start, stop)
                rows: Halves = self._asked.one(number, "rows", start, stop)
                yield rows, [key for key in found if key is not None]


class _Trained(NamedTuple):
    """A first stage without rows.

    Attributes:
        index: trained, empty.
    """

    index: Any


class _Rows:
    """Stand in for one generation: rows by id, or stacked; there is no one index."""

    rotation = None

    def __init__(self, opened: OpenedShards) -> None:
        self._opened = opened

    def vectors(self, ids: Ids) -> Vectors:
        """Return some rows."""
        return self._opened.vectors(ids)

    @property
    def rows(self) -> StackedRows:
        """Every stored vector, of one shard after the other."""
        return self._opened.whole().rows

    def first_stage(self) -> _Trained:
        """Return the training of all shards, which holds no rows but encodes as each shard does.

        Raises:
            OptionError: every row is compared, there are no codes.
        """
        self._opened.require_codes()
        training = self._opened.shards.training
        if training is None:
            raise StoreCorrupt(f"{self._opened.directory} has lists and names no training; build again")
        return _Trained(SharedTraining.of(self._opened.directory, training).load())

    def codes(self, queries: Vectors, *, k: int, nprobe: int | None = None) -> Neighbors:
        """Find each query's best rows by the codes alone; takes and returns what `Generation.codes` does."""
        return self._opened.codes(queries, k=k, nprobe=nprobe)

    def self_join(self, threshold: float, *, at_most: int, asked: Ids | None = None) -> ShardJoin:
        """Prepare to find the pairs of rows of all shards."""
        return self._opened.whole().join(threshold, at_most=at_most, asked=asked)

"""Define `Opened`: what one manifest describes, open for reading: a generation, its records, both spaces during an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.store.lmdb import Lease
from indexes.vectors import Neighbors, rescored, row_ids, spread

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.migration import Blend
    from indexes.search import Generation
    from indexes.store import VectorStore
    from indexes.vectors import Bitmap, Ids, Space, Vectors
    from retrieval.collection.queries import RowFilter
    from retrieval.collection.snapshots.migration import Pair
    from retrieval.columns import ColumnFilter
    from retrieval.names import Names
    from retrieval.sources import keys
    from retrieval.views import OpenViews


class Opened:
    """What one manifest describes, open until `close`; safe to share among threads.

    Attributes:
        directory: the collection's directory.
        manifest: the manifest that it was opened from.
        generation: its index and rows.
        store: its records.
        pair: queries in both spaces, while the encoder changes.
        views: parts of its images; None where it keeps none.
    """

    directory: Path
    manifest: Manifest
    generation: Generation
    store: VectorStore
    pair: Pair | None
    views: OpenViews | None

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        generation: Generation,
        store: VectorStore,
        pair: Pair | None,
        before: Opened | None = None,
        views: OpenViews | None = None,
    ) -> None:
        """Take over what `open_newest` opened; call that."""
        self._names: Names | None
        named = None if before is None else before._names  # noqa: SLF001 - one of its own
        self._names = None if named is None else named.followed_by(manifest, store)
        self.directory, self.manifest = directory, manifest
        self.generation, self.store, self.pair = generation, store, pair
        self.views = views
        self._lock = forks.Lock()
        self._lease = Lease(f"{directory}: the collection is closed; open it again")
        self._paths: keys.PathFilter | None = None
        self._columns: ColumnFilter | None = None

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
        """Release every file, once nobody uses it any more."""
        if self._lease.close():
            if self._columns is not None:
                self._columns.close()
            if self.pair is not None:
                self.pair.mixture.close()
            self.generation.close()
            self.store.close()
            if self.views is not None:
                self.views.close()
            if self._names is not None:
                self._names.close()
            self._paths = None  # which keeps the keys mapped

    @property
    def names(self) -> Names:
        """What its rows are called, for words; a query without words loads none of it."""
        with self._lock:
            if self._names is None:
                from retrieval.names import Names

                self._names = Names(self.directory, self.manifest, self.store)
            return self._names

    @property
    def columns(self) -> ColumnFilter:
        """What finds rows by their columns; a query without a condition loads none of it."""
        with self._lock:
            if self._columns is None:
                from retrieval.columns import ColumnFilter

                self._columns = ColumnFilter(self.directory, self.manifest, self.store)
            return self._columns

    @property
    def space(self) -> Space:
        """The space that queries are encoded in: that of the stored vectors, or the new one while the encoder changes."""
        return self.manifest.space if self.pair is None else self.pair.migration.new_space

    @property
    def encoder(self) -> str | None:
        """How the encoder of queries is named; the new one while the encoder changes."""
        return self.manifest.encoder if self.pair is None else self.pair.migration.new

    @property
    def live(self) -> Bitmap:
        """Which rows have no tombstone, ``(count,)``; do not change it."""
        live = self.generation.live
        return (
            np.broadcast_to(np.True_, self.manifest.count) if live is None else live
        )  # one byte for all rows

    def live_ids(self) -> Ids:
        """Return the ids of all rows without a tombstone, ascending."""
        return np.flatnonzero(self.live)

    def spread_ids(self, most: int) -> Ids:
        """Return the ids of some rows without a tombstone, spread evenly over all."""
        ids = spread(self.manifest.count, most)
        live: Ids = ids[self.is_live(ids)]
        return live

    def places(self, ids: Any) -> Ids:
        """Return where rows stand in arrays with one entry a row; that is their ids here, and not in shards."""
        return self.row_ids(ids)

    def ids_at(self, places: Ids) -> Ids:
        """Return the ids of rows by their places."""
        return self.row_ids(places)

    def row_ids(self, ids: Any) -> Ids:
        """Return ids of rows, or flags of all, as ``(m,)`` int64; raises as `indexes.vectors.row_ids` does."""
        return row_ids(ids, count=self.manifest.count, where=self.directory)

    def row_filter(
        self,
        *,
        root: Path,
        under: str | os.PathLike[str] | None = None,
        glob: str | None = None,
        ids: Any = None,
        mask: Any = None,
        where: Any = None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> RowFilter | None:
        """Return which rows pass filters; takes and raises what `retrieval.collection.queries.row_filter` does."""
        if under is None and glob is None and ids is None and mask is None and where is None:
            return None  # most searches have no filter, and looking the function up takes as long as all else here
        from retrieval.collection.queries import row_filter

        return row_filter(
            self, root=root, under=under, glob=glob, ids=ids, mask=mask, where=where, elsewhere=elsewhere
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not searched: nothing."""
        return ()

    def is_live(self, ids: Any) -> Any:
        """Say of each of some rows whether it has no tombstone, in the shape of `ids`."""
        live = self.generation.live
        if live is not None:
            return live[ids]
        return True if type(ids) is int else np.ones(np.shape(ids), dtype=np.bool_)

    def require_settled(self, what: str) -> None:
        """Refuse what cannot be done while the encoder changes.

        Raises:
            OptionError: it does; the message begins with `what`.
        """
        if self.manifest.migrating:
            from retrieval.collection.snapshots.migration import require_settled

            require_settled(self.manifest, what=what)

    def neighbors(
        self, queries: Vectors, *, words: bool, keep: RowFilter | None = None, **options: Any
    ) -> Neighbors:
        """Search the gallery as `search` does, for ids and scores alone."""
        if self.pair is None:
            rows = self.generation.rows
            return rescored(self.generation.search(queries, **_kept(keep), **options), queries, rows)
        found = self.search(self.pair.of(queries, None, words=words), words=words, keep=keep, **options)
        return Neighbors(ids=found.ids, scores=found.scores)

    def search(
        self, queries: Vectors, *, words: bool, keep: RowFilter | None = None, **options: Any
    ) -> Blend:
        """Search the gallery, and the parts of its images; while the encoder changes, both sides of it.

        Args:
            queries: ``(q, d)`` unit rows; while the encoder changes in both spaces, side by side.
            words: they are words.
            keep: which rows may be found; None for all.
            options: the other ones of `Generation.search`.
        """
        if self.pair is not None:
            new, old = (np.ascontiguousarray(queries[:, part]) for part in self.pair.parts)
            flags = None if keep is None else keep.flags
            return self.pair.mixture.search(new, old, words=words, keep=flags, **options)
        rows = self.generation.rows
        found = rescored(self.generation.search(queries, **_kept(keep), **options), queries, rows)
        ids, scores, views = found.ids, found.scores, None
        if self.views is not None:
            allowed = self.live if keep is None else self.live & keep.flags
            few = keep is not None and keep.ids is not None
            ids, scores, views = self.views.join(
                found, queries, rows=allowed, is_filtered=keep is not None, few=few, **_of_views(options)
            )
        from indexes.migration import Blend

        return Blend(
            ids=ids,
            scores=scores,
            cosines=scores,
            renewed=np.zeros(ids.shape, dtype=np.bool_),
            views=views,
        )

    def vectors(self, ids: Any) -> Vectors:
        """Return some rows as a query would be: ``(m, d)`` float32, in both spaces while the encoder changes.

        Raises:
            MissingRow: an id that the collection does not hold.
            OptionError, ShapeError: something that is no id.
        """
        numbers = self.row_ids(ids)
        return self.generation.vectors(numbers) if self.pair is None else self.pair.of_rows(numbers)

    def find(self, key: bytes) -> int | None:
        """Return the row with this key, None if there is none; rows that a writer deletes meanwhile are there until `close`."""
        number = self.store.find(key)
        if number is None and self.store.behind:
            number = self.paths().find(key)
        return number

    def paths(self) -> keys.PathFilter:
        """Return the filters over the keys of the rows, as they are now: files that were moved since have their new keys."""
        from indexes.generation import KeyTable
        from retrieval.sources import keys

        with self._lock:
            renames = self.store.renames
            if self._paths is None or self._paths.renames != renames:
                table = self.generation.keys()
                if table is None or table.renames != renames:
                    table = KeyTable.of(self.store.keys(), renames=renames)
                elif len(table) < self.manifest.count:  # recent rows
                    table = table.extended(self.store.keys(len(table)))
                self._paths = keys.PathFilter(table, live=self.generation.live)
            return self._paths


def _kept(keep: RowFilter | None) -> dict[str, Any]:
    """Return a filter as `Generation.search` takes it."""
    if keep is None:
        return {}
    return {"keep": keep.flags} if keep.ids is None else {"among": keep.ids}


def _of_views(options: dict[str, Any]) -> dict[str, Any]:
    """Return how views are searched: as their images, for as many of these."""
    return {name: value for name, value in options.items() if name != "k"}

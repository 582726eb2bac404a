"""Open the names of a collection: the index of its generation, and in memory those of the rows that came since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes import forks
from retrieval.names.lookup import look_up
from retrieval.names.name_index import NameIndex, has_fts5
from retrieval.names.names_file import named_by, open_names, row_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore
    from indexes.vectors import Ids
    from retrieval.names.lookup import LookedUp
    from retrieval.names.words import AskedWord

_IN_MEMORY: Final = 20_000
"""Rows up to which names that no file has are indexed in memory: a tenth of a second or two, once."""


class RecentNames:
    """The names of the rows behind those of a generation's file, indexed in memory; it may be shared by several snapshots."""

    def __init__(self) -> None:
        self._lock = forks.Lock()
        self._index: NameIndex | None = None

    def index(self, store: VectorStore, first: int, count: int) -> NameIndex:
        """Return an index that tells of ``count`` rows from ``first`` on at least."""
        with self._lock:
            if self._index is None:
                self._index = NameIndex()
            if len(self._index) < count:
                self._index.add(row_words(store, first + len(self._index)))
            return self._index

    def abandon(self) -> None:
        """Leave it as it is, in a forked child."""
        if self._index is not None:
            self._index.abandon()


class Names:
    """The names of what a manifest describes; nothing is opened before the first query by words.

    Safe to share among threads and after a fork.

    Args:
        directory: the collection's.
        manifest: of the generation that is open.
        store: its records.
        recent: what was indexed in memory of rows after this very generation.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, store: VectorStore, *, recent: RecentNames | None = None
    ) -> None:
        self._directory, self._manifest, self._store = directory, manifest, store
        self._lock = forks.Lock()
        self._files: list[tuple[int, NameIndex]] | None = None
        self._recent = RecentNames() if recent is None else recent
        forks.after_fork(self, Names._forget)

    def indexes(self) -> Sequence[tuple[int, NameIndex]]:
        """Return the indexes that tell of the rows, each with the id of its first row; none where there are none.

        An index in memory may tell of rows that came later.

        Raises:
            StoreCorrupt: the file is not what was published.
        """
        if not has_fts5():
            return []
        with self._lock:
            if self._files is None:
                self._files = open_names(self._directory, self._manifest)
            found = list(self._files)
            first = found[-1][0] + len(found[-1][1]) if found else 0
            more = self._manifest.count - first
            if not 0 < more <= _IN_MEMORY:
                return found
            return [*found, (first, self._recent.index(self._store, first, more))]

    def look_up(
        self, words: Sequence[AskedWord], *, allowed: Callable[[Ids], Any], all_rows: bool = False
    ) -> LookedUp | None:
        """Find the rows that have words of a query in their names; None if nobody has indexed any.

        Args:
            words: of the query.
            allowed: says of each of some ids below the manifest's count whether the row is live and may be found.
            all_rows: look at all rows of common words, too.
        Raises:
            StoreCorrupt: the file is not what was published.
        """
        indexes = self.indexes()
        if not indexes or not words:
            return None
        files, count = self._files or [], self._manifest.count
        moved = np.concatenate(
            [np.empty(0, dtype=np.int64), *(index.moved + first for first, index in files)]
        )
        now = self._store.renames, self._store.column_changes
        renamed = any((index.facts.get("renames"), index.facts.get("columns")) != now for _, index in files)

        def shown(ids: Ids) -> Any:
            flags = ids < count
            flags[flags] = allowed(ids[flags])
            return flags

        return look_up(
            words,
            indexes,
            rows=self._manifest.live,
            allowed=shown,
            named_by=lambda ids: (set().union(*texts.values()) for texts in self.named_by(ids)),
            doubtful=lambda ids: np.full(len(ids), fill_value=True) if renamed else np.isin(ids, moved),
            all_rows=all_rows,
        )

    def named_by(self, ids: Ids) -> list[dict[str, set[str]]]:
        """Return the words of some rows as they are now, by what has them, such as ``path``."""
        return named_by(self._store, ids)

    def followed_by(self, manifest: Manifest, store: VectorStore) -> Names:
        """Return the names of what was published since; what was indexed in memory is taken over."""
        before = self._manifest
        same = (before.generation, before.store) == (manifest.generation, manifest.store)
        return Names(self._directory, manifest, store, recent=self._recent if same else None)

    def _forget(self) -> None:
        """Open everything anew in a forked child."""
        for _, index in self._files or ():
            index.abandon()
        self._files = None
        self._recent.abandon()
        self._recent = RecentNames()

    def close(self) -> None:
        """Close the files; what is in memory may be another's, too."""
        with self._lock:
            for _, index in self._files or ():
                index.close()
            self._files = None

"""Write single rows to a collection: lock it, add, replace and delete, publish."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.errors import value_text
from retrieval.collection import require_settled, sweep
from retrieval.collection.rows import TIMEOUT, opened, plain, waiting_writer
from retrieval.collection.rows.by_hand.hand_publication import (
    current,
    device_of,
    phrases_of,
    publish_by_hand,
    rows_where,
)
from retrieval.collection.rows.by_hand.hand_rows import HandRows
from retrieval.collection.rows.by_hand.row_sources import hand_number, origin_of, sources_with_hand
from retrieval.collection.rows.by_hand.vector_sync import sync_vectors
from retrieval.collection.rows.inputs import ImageList, KeyList, VectorBlocks, encode_images
from retrieval.columns import packed_columns
from retrieval.errors import (
    OptionError,
    ShapeError,
    StoreClosed,
    StoreLocked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from indexes.vectors import Ids
    from retrieval.collection import Collection
    from retrieval.collection.rows.by_hand.rows_by_hand import Contents, RowsByHand
    from retrieval.collection.rows.by_hand.rows_report import RowsReport
    from retrieval.collection.rows.inputs import Images, KeysLike, VectorsLike
    from retrieval.columns import ColumnsLike
    from retrieval.progress import ShowProgress

REFUSED = "rows cannot be added or deleted now"


class RowWriter:
    """What `Collection.writer` gives: adds, replaces and deletes rows until its block ends.

    Each call is done whole or not at all. What it did is committed every few seconds, and published when the block ends.

    Attributes:
        added, updated, unchanged, deleted: how many rows were new; got another vector; had it already; were deleted.
    """

    def __init__(
        self, rows: RowsByHand, collection: Collection, *, contents: Contents, find: Callable[[str], Ids]
    ) -> None:
        """Write rows by hand; `Collection.writer` calls this.

        Args:
            rows: of a store, or of all shards, open for writing.
            collection: whose they are.
            contents: finds rows by the hash of what they were made of.
            find: returns the live rows for which a condition holds, once all that waits is committed.
        """
        self._rows, self._collection, self._contents, self._find = rows, collection, contents, find
        self._busy, self._process = forks.Lock(), os.getpid()
        self._over = False

    @property
    def added(self) -> int:
        """Rows that were new."""
        return self._rows.added

    @property
    def updated(self) -> int:
        """Rows that got another vector, and with it another id."""
        return self._rows.updated

    @property
    def unchanged(self) -> int:
        """Rows that had this very vector already."""
        return self._rows.unchanged

    @property
    def deleted(self) -> int:
        """Rows that were deleted."""
        return self._rows.deleted

    def add(
        self, vectors: VectorsLike, keys: KeysLike | None = None, *, columns: ColumnsLike | None = None
    ) -> Ids:
        """Add rows; takes, returns and raises what `Collection.add` does."""
        with self._writing() as rows:
            blocks, names = self._checked(vectors, keys)
            packed = packed_columns(columns, count=len(blocks))
            wanted = self._ids_as_keys(len(blocks)) if names is None else names
            rows.require_new(wanted)
            return self._put(rows, blocks, wanted, packed)

    def upsert(self, vectors: VectorsLike, keys: KeysLike, *, columns: ColumnsLike | None = None) -> Ids:
        """Add or replace rows; takes, returns and raises what `Collection.upsert` does."""
        with self._writing() as rows:
            blocks, names = self._checked(vectors, keys)
            if names is None:
                raise OptionError("upsert needs `keys`: they say which rows are replaced")
            packed = packed_columns(columns, count=len(blocks))
            rows.require_own(names)
            return self._put(rows, blocks, names, packed)

    def add_images(self, images: Images, keys: KeysLike | None = None) -> Ids:
        """Encode images and add them; takes, returns and raises what `Collection.add_images` does."""
        with self._writing() as rows:
            given = ImageList(images, keys, ids=self._ids_as_keys)
            known = given.keys()
            if known is not None:
                rows.require_new(known)
            known_columns = self._collection.manifest.columns
            vectors, contents, columns = encode_images(
                given,
                self._collection.encoder,
                self._contents,
                headers=known_columns is not None and known_columns.headers > 0,
            )
            names = given.require_keys(len(vectors))
            if known is None:
                rows.require_new(names)
            ids = rows.put(vectors, list(names), contents, columns)
            rows.commit_if_due()
            return np.array(ids, dtype=np.int64)

    def delete(self, keys: KeysLike | None = None, ids: Any = None, *, where: str | None = None) -> int:
        """Delete rows; takes, returns and raises what `Collection.delete` does."""
        with self._writing() as rows:
            if sum(given is not None for given in (keys, ids, where)) != 1:
                raise OptionError("delete takes either `keys`, `ids` or `where`")
            if where is not None:
                rows.commit()
                chosen = rows.of_ids(self._find(where))
            elif keys is not None:
                chosen = rows.of_keys(KeyList(keys, one=True))
            else:
                chosen = rows.of_ids(rows.checked_ids(ids, where=self._collection.directory))
            rows.delete(chosen)
            rows.commit_if_due()
            return len(chosen)

    def end(self) -> None:
        """Commit all that waits, and take no further calls."""
        with self._busy:
            self._over = True
            self._rows.commit()

    @contextmanager
    def _writing(self) -> Iterator[RowsByHand]:
        """Give the rows to one thread at a time.

        Raises:
            StoreClosed: the block is over.
            StoreLocked: this is a forked child: what it adds would go with it.
        """
        with self._busy:
            if os.getpid() != self._process:
                raise StoreLocked(
                    f"{self._collection.directory}: this writer belongs to process {self._process}, from which this one was "
                    "forked; open another `writer` when that one is done",
                    pid=self._process,
                )
            if self._over:
                raise StoreClosed(
                    f"{self._collection.directory}: the block of this writer is over; open another `writer`"
                )
            yield self._rows

    def _checked(self, vectors: VectorsLike, keys: KeysLike | None) -> tuple[VectorBlocks, KeyList | None]:
        """Look at all vectors and keys before anything is written."""
        blocks = VectorBlocks(vectors, one=True)
        names = None if keys is None else KeyList(keys, one=True)
        if names is not None and len(names) != len(blocks):
            said = f"one key, {value_text(keys)}" if isinstance(keys, str | bytes) else f"{len(names):,} keys"
            raise ShapeError(
                f"{len(blocks):,} vectors but {said}; give one key a vector, as a list: `keys=[…]`"
            )
        space = self._collection.manifest.space
        blocks.check(dim=space.dim, space=space.name)
        return blocks, names

    def _ids_as_keys(self, count: int) -> list[bytes]:
        return [str(number).encode() for number in self._rows.next_ids(count)]

    @staticmethod
    def _put(
        rows: RowsByHand, blocks: VectorBlocks, names: Iterable[bytes], columns: list[bytes] | None
    ) -> Ids:
        ids = np.empty(len(blocks), dtype=np.int64)  # (n,)
        keys = iter(names)
        for start, block in blocks.blocks():
            part = None if columns is None else columns[start : start + len(block)]
            ids[start : start + len(block)] = rows.put(block, list(islice(keys, len(block))), columns=part)
            rows.commit_if_due()
        return ids


def synchronized(
    collection: Collection,
    vectors: VectorsLike,
    keys: KeysLike,
    *,
    prune: bool,
    timeout: float,
    progress: ShowProgress,
) -> RowsReport:
    """Make an open collection's rows by hand equal to some vectors; `Collection.sync_vectors` says more."""
    _require_there(collection)
    try:
        return sync_vectors(
            collection.root,
            vectors,
            keys,
            index=collection.directory,
            prune=prune,
            timeout=timeout,
            device=device_of(collection.manifest),
            progress=progress,
        )
    finally:
        show_newest(collection)


@contextmanager
def writing_rows(collection: Collection, *, timeout: float = TIMEOUT) -> Iterator[RowWriter]:
    """Lock a collection, give its writer, and publish what that did when the block ends; `Collection.writer` says more."""
    directory = _require_there(collection)
    try:
        with waiting_writer(directory, timeout=timeout) as lock:
            before = current(directory)
            require_settled(before, what=REFUSED)
            sweep(directory, before)
            facts: dict[str, Any] = {"space": before.space, "encoder": before.encoder, "root": before.root}
            sources = sources_with_hand(before, root=before.root)
            with opened(directory, lock, before, **facts, with_rows=sources) as growing:
                store = plain(growing)
                rows = HandRows(
                    store,
                    source=hand_number(before),
                    origin=lambda number: origin_of(number, before.sources, directory),
                )
                writer = RowWriter(
                    rows, collection, contents=store, find=lambda where: rows_where(directory, store, where)
                )
                try:
                    yield writer
                finally:
                    writer.end()
                publish_by_hand(directory, store, before, rows, lock, phrases=lambda: phrases_of(collection))
    finally:
        show_newest(collection)


def _require_there(collection: Collection) -> Path:
    """Return the directory of a collection that can be written.

    Raises:
        StoreClosed: it is closed.
        CollectionNotFound: it was moved or deleted.
        OptionError: an upgrade is under way.
    """
    with collection._using():  # noqa: SLF001 - a part of it; whoever closed it may not write
        directory = collection.directory
    require_settled(current(directory), what=REFUSED)
    return directory


def show_newest(collection: Collection) -> None:
    """Let a collection show what was published; one that another thread has closed meanwhile stays closed."""
    with suppress(StoreClosed, FileNotFoundError):
        with collection._using():  # noqa: SLF001 - a part of it
            pass
        collection.refresh()

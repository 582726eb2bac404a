"""Write single rows to a collection: lock it, add, replace and delete, publish."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.derivation import derive, publish_rows
from indexes.errors import value_text
from indexes.vectors import row_ids
from retrieval.collection import require_settled, sweep
from retrieval.collection.rows.generation_files import derived_files
from retrieval.collection.rows.growth import plain
from retrieval.collection.rows.hand_rows import HandRows
from retrieval.collection.rows.image_vectors import ImageList, encode_images
from retrieval.collection.rows.key_lists import KeyList
from retrieval.collection.rows.lock_wait import TIMEOUT, waiting_writer
from retrieval.collection.rows.row_sources import hand_number, origin_of, sources_with_hand
from retrieval.collection.rows.vector_blocks import VectorBlocks
from retrieval.collection.rows.vector_sync import sync_vectors
from retrieval.collection.rows.writable import learn_rotation, opened, published
from retrieval.columns import ColumnFilter, packed_columns, summary
from retrieval.encoders import encode_phrases
from retrieval.errors import (
    CollectionNotFound,
    EncoderError,
    OptionError,
    ShapeError,
    SpaceMismatch,
    StoreClosed,
    StoreLocked,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore
    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.collection.rows.image_vectors import Images
    from retrieval.collection.rows.key_lists import KeysLike
    from retrieval.collection.rows.rows_report import RowsReport
    from retrieval.collection.rows.vector_blocks import VectorsLike
    from retrieval.columns import ColumnsLike

__all__ = ["RowWriter", "synchronized", "writing_rows"]

_REFUSED = "rows cannot be added or deleted now"


class RowWriter:
    """What `Collection.writer` gives: adds, replaces and deletes rows until its block ends.

    Each call is done whole or not at all. What it did is committed every few seconds, and published when the block ends.

    Attributes:
        added, updated, unchanged, deleted: how many rows were new; got another vector; had it already; were deleted.
    """

    def __init__(self, store: VectorStore, collection: Collection, *, source: int) -> None:
        """Write rows of a source to a store that is open for it; `Collection.writer` calls this."""
        self._store, self._collection = store, collection
        self._rows = HandRows(
            store,
            source=source,
            origin=lambda number: origin_of(number, collection.manifest.sources, collection.directory),
        )
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
                self._store,
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
                chosen = rows.require_ids(self._found(rows, where))
            elif keys is not None:
                chosen = rows.ids_of(KeyList(keys, one=True))
            else:
                directory = self._collection.directory
                chosen = rows.require_ids(row_ids(ids, count=rows.next_id, where=directory))
            rows.delete(chosen)
            rows.commit_if_due()
            return len(chosen)

    def _found(self, rows: HandRows, where: str) -> Ids:
        """Return the live rows for which a condition holds, those too that this block has added."""
        rows.commit()
        published = _current(self._collection.directory)
        manifest = replace(published, count=self._store.count)
        if published.columns is not None and published.columns.changes != self._store.column_changes:
            manifest = replace(manifest, files={})  # the table there says what rows were before
        columns = ColumnFilter(self._collection.directory, manifest, self._store)
        try:
            found = columns.rows(where)
        finally:
            columns.close()
        live: Ids = found[~self._store.tombstones()[found]]
        return live

    def end(self) -> None:
        """Commit all that waits, and take no further calls."""
        with self._busy:
            self._over = True
            self._rows.commit()

    @contextmanager
    def _writing(self) -> Iterator[HandRows]:
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
        first = self._rows.next_id
        return [str(number).encode() for number in range(first, first + count)]

    @staticmethod
    def _put(
        rows: HandRows, blocks: VectorBlocks, names: Iterable[bytes], columns: list[bytes] | None
    ) -> Ids:
        ids = np.empty(len(blocks), dtype=np.int64)  # (n,)
        keys = iter(names)
        for start, block in blocks.blocks():
            part = None if columns is None else columns[start : start + len(block)]
            ids[start : start + len(block)] = rows.put(block, list(islice(keys, len(block))), columns=part)
            rows.commit_if_due()
        return ids


def synchronized(
    collection: Collection, vectors: VectorsLike, keys: KeysLike, *, prune: bool, timeout: float
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
            device=_device(collection.manifest),
        )
    finally:
        _show(collection)


@contextmanager
def writing_rows(collection: Collection, *, timeout: float = TIMEOUT) -> Iterator[RowWriter]:
    """Lock a collection, give its writer, and publish what that did when the block ends; `Collection.writer` says more."""
    directory = _require_there(collection)
    try:
        with waiting_writer(directory, timeout=timeout) as lock:
            before = _current(directory)
            require_settled(before, what=_REFUSED)
            sweep(directory, before)
            facts: dict[str, Any] = {"space": before.space, "encoder": before.encoder, "root": before.root}
            sources = sources_with_hand(before, root=before.root)
            with opened(directory, lock, before, **facts, with_rows=sources) as growing:
                store = plain(growing)
                rows = RowWriter(store, collection, source=hand_number(before))
                try:
                    yield rows
                finally:
                    rows.end()
                lock.check()
                recorded = sources if rows.added or rows.updated else None
                known = before.columns
                columns = summary(store, known, headers=0 if known is None else known.headers)
                if publish_rows(directory, store, sources=recorded, columns=columns) is None:
                    derive(
                        directory,
                        store,
                        **facts,
                        sources=recorded,
                        device=_device(before),
                        extra_queries=lambda: _phrases(collection),
                        learn=learn_rotation,
                        columns=columns,
                        derived=derived_files(columns),
                    )
    finally:
        _show(collection)


def _require_there(collection: Collection) -> Path:
    """Return the directory of a collection that can be written.

    Raises:
        StoreClosed: it is closed.
        CollectionNotFound: it was moved or deleted.
        OptionError: an upgrade is under way.
    """
    with collection._using():  # noqa: SLF001 - a part of it; whoever closed it may not write
        directory = collection.directory
    require_settled(_current(directory), what=_REFUSED)
    return directory


def _current(directory: Path) -> Manifest:
    manifest = published(directory)
    if manifest is None:
        raise CollectionNotFound(
            f"no collection in {directory} any more: it was moved or deleted since it was opened; open it where it is now"
        )
    return manifest


def _show(collection: Collection) -> None:
    """Let a collection show what was published; one that another thread has closed meanwhile stays closed."""
    with suppress(StoreClosed, FileNotFoundError):
        with collection._using():  # noqa: SLF001 - a part of it
            pass
        collection.refresh()


def _device(manifest: Manifest) -> str:
    return "cpu" if manifest.request is None else manifest.request.device


def _phrases(collection: Collection) -> Mapping[str, Vectors]:
    """Encode the built-in phrases that an index is tuned for too, where the encoder can be had."""
    try:
        words = encode_phrases(collection.encoder)
    except (EncoderError, SpaceMismatch):
        return {}
    return {} if words is None else {"text": words}

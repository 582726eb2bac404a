"""Publish rows by hand, and find committed ones by their columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.derivation import derive, publish_rows
from retrieval.collection.rows import derived_files, learn_rotation, published
from retrieval.collection.rows.by_hand.row_sources import sources_with_hand
from retrieval.columns import ColumnFilter, summary
from retrieval.encoders import encode_phrases
from retrieval.errors import CollectionNotFound, EncoderError, SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore, WriterLock
    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.collection.rows.by_hand.hand_rows import HandRows


def rows_where(
    directory: Path, store: VectorStore, where: str, *, elsewhere: Mapping[str, str] | None = None
) -> Ids:
    """Return the live rows of a store for which a condition over columns holds, those too that were committed just now.

    ``elsewhere`` are types of columns that rows of other shards have.
    """
    known = current(directory)
    manifest = replace(known, count=store.count)
    if known.columns is not None and known.columns.changes != store.column_changes:
        manifest = replace(manifest, files={})  # the table there says what rows were before
    columns = ColumnFilter(directory, manifest, store)
    try:
        found = columns.rows(where, elsewhere=elsewhere or {})
    finally:
        columns.close()
    live: Ids = found[~store.tombstones()[found]]
    return live


def publish_by_hand(
    directory: Path,
    store: VectorStore,
    before: Manifest,
    rows: HandRows,
    lock: WriterLock,
    *,
    phrases: Callable[[], Mapping[str, Vectors]] | None,
    **index: Any,
) -> None:
    """Publish what was done to rows by hand.

    Args:
        directory: the collection's.
        store: open for writing; every change committed.
        before: the published manifest.
        rows: through which all changes went.
        lock: held.
        phrases: returns queries by words that the index is tuned for, too.
        index: what `derive` is asked for besides, where more than a manifest is to be written.
    """
    lock.check()
    recorded = sources_with_hand(before, root=before.root) if rows.written else None
    known = before.columns
    columns = summary(store, known, headers=0 if known is None else known.headers)
    if publish_rows(directory, store, sources=recorded, columns=columns) is None:
        derive(
            directory,
            store,
            space=before.space,
            encoder=before.encoder,
            root=before.root,
            sources=recorded,
            device=device_of(before),
            extra_queries=phrases,
            learn=learn_rotation,
            columns=columns,
            derived=derived_files(columns),
            **index,
        )


def current(directory: Path) -> Manifest:
    """Return what is published now.

    Raises:
        CollectionNotFound: the collection was moved or deleted.
    """
    manifest = published(directory)
    if manifest is None:
        raise CollectionNotFound(
            f"no collection in {directory} any more: it was moved or deleted since it was opened; open it where it is now"
        )
    return manifest


def device_of(manifest: Manifest) -> str:
    """Return where the collection was last built."""
    return "cpu" if manifest.request is None else manifest.request.device


def phrases_of(collection: Collection) -> Mapping[str, Vectors]:
    """Encode the built-in phrases that an index is tuned for too, where the encoder can be had."""
    try:
        words = encode_phrases(collection.encoder)
    except (EncoderError, SpaceMismatch):
        return {}
    return {} if words is None else {"text": words}

"""Publish a few changed rows beside the generation that is there: only the manifest is written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexes.derivation import build_plan
from indexes.derivation.publish import published
from indexes.derivation.recent_segments import TAIL_ROWS, waiting_rows
from indexes.generation import (
    KEYS,
    PLAIN,
    Columns,
    Exact,
    KeyTable,
    Manifest,
    Recent,
    Source,
    check_sizes,
    generation_path,
    indexed_rows,
    publish_beside,
    published_live,
    store_path,
)
from indexes.store import VectorStore

MOST_DELETED = 2_000
"""Deletions that a manifest tells of, before a generation takes them in: each publish writes all of them."""


def publish_rows(
    directory: str | os.PathLike[str],
    store: VectorStore,
    *,
    sources: tuple[Source, ...] | None = None,
    columns: Columns | None = None,
) -> Manifest | None:
    """Publish the committed rows of a collection with several sources, if they call for no more than a new manifest.

    New rows are searched exactly beside the base. What this costs depends on the rows that are recent, not on all.
    The caller holds the writer's lock.

    Args:
        directory: the collection's directory.
        store: its store, opened for writing; every change committed.
        sources: recorded in the manifest; None keeps those that are there.
        columns: of the rows, recorded too; None keeps what is there.
    Returns:
        the manifest that is current now; None if `derive` has to publish: the rows are to be merged into the base, nothing
        or something else was published before, or an earlier version could read what is there.
    Raises:
        StoreFull: no space left; the manifest before stays.
        StoreReadOnly: the collection cannot be written.
    """
    home = Path(directory)
    before = published(home)
    if before is None or store.directory != store_path(home, before):
        return None
    if before.columns is not None and before.columns.changes != store.column_changes:
        return None
    sources = before.sources if sources is None else sources
    deleted = _deleted(home, before, store, sources)
    if deleted is None or not _is_small(before, store, deleted):
        return None
    recent = before.recent or Recent(publishes=0, count=before.count)
    if (before.sources, before.count, recent.deleted) == (sources, store.count, deleted):
        return before
    index = before.index
    return publish_beside(
        home,
        replace(
            before,
            count=store.count,
            live=store.live,
            sources=sources,
            columns=columns or before.columns,
            index=replace(index, base_rows=store.count) if isinstance(index, Exact) else index,
            recent=replace(recent, publishes=recent.publishes + 1, deleted=deleted),
        ),
    )


def _deleted(
    home: Path, before: Manifest, store: VectorStore, sources: tuple[Source, ...]
) -> tuple[int, ...] | None:
    """Return the ids with a tombstone that the generation does not know; None where it cannot stay."""
    first = before.count if before.recent is None else before.recent.count
    older = before.format < PLAIN or replace(before, sources=sources, recent=None).layout == PLAIN
    if older or before.migrating or before.index.retired or before.count > store.count:
        return None
    folder = generation_path(home, before.generation)
    try:
        check_sizes(home, before)
        if KEYS not in before.files or KeyTable.renames_of(folder / KEYS) != store.renames:
            return None
        live = published_live(home, replace(before, count=first, recent=None))
    except OSError:  # something is missing or damaged: `derive` makes it anew
        return None
    dead = store.tombstones()
    if live is not None:
        if (dead[:first] < ~live).any():  # a row that was deleted is there again
            return None
        dead[:first] &= live
    return tuple(np.flatnonzero(dead).tolist())


def _is_small(before: Manifest, store: VectorStore, deleted: tuple[int, ...]) -> bool:
    """Say whether so few rows are recent that they may stay beside the base."""
    index, first = before.index, indexed_rows(before)
    most = waiting_rows(index)
    if isinstance(index, Exact):  # all rows are its base; only their keys wait
        if before.live <= build_plan.FLAT_ROWS < store.live:  # enough for an index
            return False
        first = before.count if before.recent is None else before.recent.count
        most = TAIL_ROWS
    return store.count - first <= most and len(deleted) <= MOST_DELETED

"""Open the newest generation of a collection, whatever is published meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexes.generation import Manifest, read_manifest, read_pinned, store_path
from indexes.search import Generation
from indexes.store import VectorStore
from retrieval.collection.snapshots.gpu_search import exact_on
from retrieval.collection.snapshots.snapshot import Opened
from retrieval.errors import CollectionNotFound, StoreCorrupt

if TYPE_CHECKING:
    from pathlib import Path

    from retrieval.collection.snapshots.migration import Pair


def newest_version(directory: Path) -> tuple[int, int]:
    """Return which state of the collection in ``directory`` is the newest.

    Raises:
        CollectionNotFound: there is none any more.
    """
    try:
        return read_manifest(directory).version
    except FileNotFoundError as error:
        raise CollectionNotFound(f"no collection in {directory}; it was deleted or moved") from error


def open_newest(directory: Path, *, device: str, before: Opened | None = None) -> Opened:
    """Open the newest generation of the collection in ``directory``, whatever is published meanwhile.

    Args:
        directory: the collection's.
        device: as `indexes.search.generation.Generation.open` has it.
        before: what is open of it so far; what has not changed is not opened again.
    Raises:
        CollectionNotFound: there is none.
        ManifestTooNew: it was written by a later version.
        StoreCorrupt: a file is missing or short.
    """
    while True:
        try:
            manifest, pin = read_pinned(directory)
        except FileNotFoundError as error:
            raise CollectionNotFound(
                f"no collection in {directory}; `retrieval.open` finds the one of an image folder"
            ) from error
        with pin:
            try:
                return open_published(directory, manifest, device=device, before=before)
            except (StoreCorrupt, FileNotFoundError):
                # A change of the encoder may have ended meanwhile, and taken its rows away.
                if read_manifest(directory).generation == manifest.generation:
                    raise


def open_published(
    directory: Path, manifest: Manifest, *, device: str, before: Opened | None = None
) -> Opened:
    """Open what one manifest describes; raises as `open_newest` does, and `FileNotFoundError` where its generation is gone."""
    generation = Generation.open(
        directory,
        manifest,
        device=device,
        exact=exact_on(device),
        before=None if before is None else before.generation,
    )
    try:
        pair = _both_sides(directory, manifest, generation) if manifest.migrating else None
        # The rows of the manifest alone: a build that is running may have stored more, and deleted some.
        place = store_path(directory, manifest)
        live = np.ones(manifest.count, dtype=np.bool_) if generation.live is None else generation.live
        store = VectorStore.open(place, dim=manifest.space.dim, count=manifest.count, live=live)
    except BaseException as error:
        generation.close()
        if isinstance(error, FileNotFoundError):
            raise StoreCorrupt(
                f"{directory} has no vectors.lmdb; copy it whole again, or move the directory away and build anew"
            ) from error
        raise
    views = None
    try:
        if manifest.views:
            from retrieval.views import open_views

            views = open_views(
                directory,
                manifest,
                device=device,
                exact=exact_on(device),
                before=None if before is None else before.views,
            )
    except BaseException:
        generation.close()
        store.close()
        raise
    return Opened(directory, manifest, generation, store, pair, before, views)


def _both_sides(directory: Path, manifest: Manifest, generation: Generation) -> Pair | None:
    from retrieval.collection.snapshots.migration import Migration, Pair

    migration = Migration.read(directory, manifest)
    if migration is None:
        return None
    return Pair(migration, migration.open(directory, generation), generation)

"""Write the manifest of a shard again from `shards.json`, which holds a copy, where a file of it is lost or damaged."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from indexes.errors import StoreCorrupt
from indexes.generation import MANIFEST, SHARDS, generation_path, read_manifest, store_path, write_manifest
from indexes.store import VectorStore

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Shards


def restore_manifests(directory: Path, shards: Shards) -> list[str]:
    """Restore the manifests of shards that cannot be read; the caller holds the lock of the whole.

    What it says may be older than what was lost: what a build that was killed had published since is found in the store again.
    Where the rows or the published generation are missing, too, nothing is written.

    Args:
        directory: of the whole.
        shards: what `shards.json` says.
    Returns:
        a sentence about each that was written.
    Raises:
        ManifestTooNew: a later version wrote one.
        StoreFull, StoreReadOnly: one cannot be written.
    """
    notes = []
    for shard in shards.shards:
        place, manifest = directory / shard.name, shard.manifest
        try:
            read_manifest(place)
        except (FileNotFoundError, StoreCorrupt) as error:
            if _may_be_whole(error):
                continue
            if generation_path(place, manifest.generation).is_dir() and VectorStore.exists(
                store_path(place, manifest)
            ):
                write_manifest(place, manifest)
                notes.append(
                    f"{shard.name}: its {MANIFEST} could not be read and was written again from {SHARDS}"
                )
    return notes


def _may_be_whole(error: Exception) -> bool:
    """Say whether only the system could not read it just now, a share that was away for instance: then it is left alone."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno != errno.ELOOP

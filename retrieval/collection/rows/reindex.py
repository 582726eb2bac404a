"""Index the rows that a collection has once more: another kind is asked for, or a file of its index was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexes.derivation import derive
from retrieval.collection.rows.generation_files import derived_files
from retrieval.collection.rows.growth import plain
from retrieval.collection.rows.writable import learn_rotation, opened

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import WriterLock


def index_again(directory: Path, before: Manifest, lock: WriterLock, **asked: Any) -> Manifest:
    """Publish a generation of the rows that are stored; nothing where the published one will do.

    Args:
        directory: the collection's.
        before: what is published.
        lock: held.
        asked: what `derive` is asked for besides what the manifest says: kind, dim, recall, device …
    Returns:
        the manifest that is current now.
    """
    facts: dict[str, Any] = {"space": before.space, "encoder": before.encoder, "sources": before.sources}
    with opened(directory, lock, before, **facts) as growing:
        lock.check()
        return derive(
            directory,
            plain(growing),
            **facts,
            learn=learn_rotation,
            derived=derived_files(before.columns),
            **asked,
        )

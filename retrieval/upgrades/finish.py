"""Finish an upgrade: delete the old vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexes.derivation import Carried, publish_tail
from indexes.generation import SHARDS, read_manifest, store_path
from indexes.store import VectorStore
from retrieval.collection import require_settled, sweep, under_way, writer
from retrieval.collection.rows import derived_files
from retrieval.deprecation import renamed_function
from retrieval.errors import OptionError
from retrieval.location import find_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path


def finish_upgrade(path: str | os.PathLike[str] | None = None) -> Mapping[str, Any]:
    """Give up the vectors that a finished upgrade keeps for a rollback; return what the manifest records of it.

    Raises:
        OptionError: nothing is kept, or the upgrade is not finished.
        StoreLocked: somebody else writes to the collection.
    """
    directory = find_whole(path, what="`finish_upgrade`")
    if (directory / SHARDS).is_file():
        from retrieval.upgrades.sharded import finish_shards

        return finish_shards(directory)
    return finish_one(directory)


def finish_one(directory: Path) -> Mapping[str, Any]:
    """Finish the upgrade of the collection in a directory, a shard or a whole; returns and raises what `finish_upgrade` does."""
    with writer(directory) as lock:
        manifest = read_manifest(directory)
        require_settled(manifest, what="the old vectors are in use")
        sweep(directory, manifest)
        entry = dict(manifest.upgrades[-1]) if manifest.upgrades else {}
        if manifest.reencoding:
            raise OptionError(f"the old vectors are in use: {under_way(entry)}")
        if not entry.pop("previous", None):
            raise OptionError(f"{directory}: {nothing_kept(entry)}")
        with VectorStore.open(
            store_path(directory, manifest), dim=manifest.space.dim, count=manifest.count
        ) as store:
            lock.check()
            published = publish_tail(
                directory,
                store,
                space=manifest.space,
                encoder=manifest.encoder,
                root=manifest.root,
                carried=Carried(upgrades=(*manifest.upgrades[:-1], entry)),
                derived=derived_files(),
            )
        sweep(directory, published)
    return entry


def nothing_kept(entry: Mapping[str, Any]) -> str:
    """Say why no old vectors are kept, and what comes next; ``entry``: what is recorded of the last upgrade, empty without one."""
    if entry.get("state") == "complete":
        return (
            f"no old vectors are kept: the upgrade to {entry['new']} is finished, and nothing is left to do"
        )
    why = f"the upgrade to {entry['new']} was rolled back" if entry else "it has never been upgraded"
    return f"no old vectors are kept, as {why}; begin with `upgrade(encoder=SPEC)`"


drop_old: Callable[..., Mapping[str, Any]] = renamed_function("drop_old", finish_upgrade)

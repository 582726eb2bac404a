"""Start an upgrade of a sharded collection: measure the new encoder on its largest shard, and record how all get there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.generation import read_manifest, read_shards, store_path
from indexes.store import VectorStore, WriterLock
from retrieval.collection.sharded.rows import publish_as_they_are, require_no_upgrade
from retrieval.errors import OptionError
from retrieval.sources import open_source
from retrieval.upgrades import UpgradeReport, refuse_rows_without_images, upgrade_one

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from indexes.generation import Manifest
    from retrieval.encoders import EncoderLike
    from retrieval.progress import OnProgress

_WAYS = ("auto", "reencode")


def upgrade_shards(
    directory: Path,
    *,
    encoder: EncoderLike,
    sample: int,
    method: str,
    labels: str | os.PathLike[str] | None,
    dry_run: bool,
    force: bool,
    device: str,
    old_encoder: EncoderLike | None,
    root: str | os.PathLike[str] | None,
    progress: OnProgress | None,
) -> UpgradeReport:
    """Upgrade a sharded collection: the old encoder answers until all shards are encoded again.

    Takes, returns and raises what `retrieval.upgrade` does, and:

    Raises:
        OptionError: another method than ``auto`` and ``reencode``; an upgrade under way; or rows by hand, which have no image.
    """
    if method not in _WAYS:
        raise OptionError(
            f"method {method!r} maps queries to the rows of one collection; shards are encoded again: use `method='reencode'`"
        )
    with WriterLock(directory):
        before = read_shards(directory)
        require_no_upgrade(before, what="another upgrade cannot begin now")
        for shard in before.shards:
            _refuse_rows_by_hand(directory / shard.name, shard.manifest, root=root)
        largest = max(before.shards, key=lambda shard: shard.manifest.live)
        report = upgrade_one(
            directory / largest.name,
            encoder=encoder,
            sample=sample,
            method="reencode",
            labels=labels,
            dry_run=dry_run,
            force=force,
            device=device,
            old_encoder=old_encoder,
            root=root,
            progress=progress,
            whole=before.manifest,
        )
        report = replace(
            report,
            remaining=before.manifest.live - report.backfilled,
            ways=[way for way in report.ways if way["plan"] != "map"],  # no map asks several shards
        )
        if report.recorded:
            publish_as_they_are(
                directory, before, count=len(before.shards), upgrade=_entry(directory, largest.name, report)
            )
    return report


def _refuse_rows_by_hand(place: Path, manifest: Manifest, *, root: str | os.PathLike[str] | None) -> None:
    with VectorStore.open(store_path(place, manifest), dim=manifest.space.dim, count=manifest.count) as store:
        refuse_rows_without_images(store, manifest, open_source(place, manifest, root=root))


def _entry(directory: Path, name: str, report: UpgradeReport) -> dict[str, Any]:
    """Return what `shards.json` records: what the shard that was measured does, with the numbers of the whole."""
    own = dict(read_manifest(directory / name).upgrades[-1])
    for place in ("staging", "kept"):
        own.pop(place, None)
    return own | {"backfilled": report.backfilled, "remaining": report.remaining}

"""Return all shards to the encoder before an upgrade, or give up the vectors that are kept for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexes.generation import REENCODING, read_manifest, read_shards
from indexes.store import WriterLock
from indexes.vectors import Space
from retrieval.collection.sharded.rows import publish_as_they_are, require_no_upgrade
from retrieval.encoders import load_encoder
from retrieval.errors import OptionError, RetrievalError
from retrieval.upgrades import RollbackReport, finish_one, nothing_kept, rollback_one
from retrieval.upgrades.sharded.shard_backfill import publish_space

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from retrieval.encoders import EncoderLike
    from retrieval.progress import OnProgress


def rollback_shards(
    directory: Path,
    *,
    without_new: bool,
    encoder: EncoderLike | None,
    device: str,
    root: str | os.PathLike[str] | None,
    progress: OnProgress | None,
) -> RollbackReport:
    """Return a sharded collection to the encoder before; takes, returns and raises what `retrieval.rollback` does.

    Shards go back one after the other. Readers see the old space when the last one is there; interrupted, the same call continues.
    """
    with WriterLock(directory):
        before = read_shards(directory)
        entry = before.upgrade
        if entry is None or not (entry["state"] == REENCODING or entry.get("previous")):
            dropped = " (the old vectors were dropped)" if entry and entry["state"] == "complete" else ""
            raise OptionError(f"{directory}: there is no upgrade to undo{dropped}")
        old, images, encoded, pending = Space.from_json(entry["old_space"]), 0, 0, 0
        for shard in before.shards:
            place = directory / shard.name
            manifest = read_manifest(place)
            if manifest.space.same_as(old) and not manifest.reencoding:
                images += manifest.live
                continue
            done = rollback_one(
                place, without_new=without_new, encoder=encoder, device=device, root=root, progress=progress
            )
            images, encoded, pending = images + done.images, encoded + done.encoded, pending + done.pending
        entry = {key: value for key, value in entry.items() if key != "previous"} | {"state": "rolled back"}
        publish_space(directory, before, entry, _loadable(encoder or entry["old"]), device=device)
    return RollbackReport(
        encoder=str(entry["old"] or entry["old_space"]["name"]),
        given_up=str(entry["new"]),
        images=images,
        encoded=encoded,
        pending=pending,
    )


def finish_shards(directory: Path) -> Mapping[str, Any]:
    """Give up the old vectors of all shards; returns and raises what `retrieval.finish_upgrade` does."""
    with WriterLock(directory):
        before = read_shards(directory)
        require_no_upgrade(before, what="the old vectors are in use")
        entry = dict(before.upgrade or {})
        if not entry.pop("previous", None):
            raise OptionError(f"{directory}: {nothing_kept(entry)}")
        for shard in before.shards:
            upgrades = read_manifest(directory / shard.name).upgrades
            if upgrades and upgrades[-1].get("previous"):  # else an interrupted call has done it
                finish_one(directory / shard.name)
        publish_as_they_are(directory, before, count=len(before.shards), upgrade=entry)
    return entry


def _loadable(encoder: EncoderLike | None) -> EncoderLike | None:
    """Return an encoder that can be had, for phrases that the index is tuned for; None where it cannot."""
    try:
        return None if encoder is None else load_encoder(encoder)
    except RetrievalError:
        return None

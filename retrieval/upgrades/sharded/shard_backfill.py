"""Encode the shards of a collection again, one after the other; readers see the new space when the last one is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexes.derivation import Carried, publish_tail
from indexes.generation import REENCODING, read_manifest, read_shards, store_path, write_shards
from indexes.store import VectorStore, WriterLock
from indexes.vectors import Space
from retrieval.collection import STAGING, writer
from retrieval.collection.rows import derived_files
from retrieval.collection.sharded.rows import Asked, publish_shards
from retrieval.distributed import open_cluster
from retrieval.encoders import encode_phrases, load_encoder
from retrieval.errors import OptionError
from retrieval.upgrades import BackfillReport, backfill_one, complete_before

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Shards
    from indexes.vectors import Vectors
    from retrieval.encoders import EncoderLike
    from retrieval.progress import OnProgress


def backfill_shards(
    directory: Path,
    *,
    count: int | None,
    encoder: EncoderLike | None,
    device: str,
    root: str | os.PathLike[str] | None,
    progress: OnProgress | None,
) -> BackfillReport:
    """Encode up to ``count`` images of a sharded collection again; takes, returns and raises what `retrieval.backfill` does.

    Each shard switches to the new space when all its images are done, and readers keep its old generation. With the last shard
    the whole is trained, indexed and published in the new space.
    """
    with WriterLock(directory):
        before = read_shards(directory)
        entry = before.upgrade
        if entry is not None and entry["state"] == "complete":
            return complete_before(entry, live=before.manifest.live)
        if entry is None or entry["state"] != REENCODING:
            raise OptionError(f"{directory}: no upgrade is under way; begin one with `upgrade(encoder=SPEC)`")
        given = load_encoder(encoder, device=device) if encoder is not None else None
        encoded = gone = unreadable = backfilled = remaining = 0
        for shard in before.shards:
            place = directory / shard.name
            _begin(place, entry)
            manifest = read_manifest(place)
            if not manifest.reencoding:  # it is of the new space
                backfilled += manifest.live
                continue
            left = None if count is None else count - encoded
            done = backfill_one(
                place, count=left, encoder=given, device=device, root=root, progress=progress, kind="flat"
            )
            encoded, gone, unreadable = encoded + done.encoded, gone + done.gone, unreadable + done.unreadable
            backfilled, remaining = backfilled + done.backfilled, remaining + done.remaining
        entry = dict(entry) | {"backfilled": backfilled, "remaining": remaining}
        if remaining:
            _note(directory, before, entry)
        else:
            entry |= {
                "state": "complete",
                "previous": True,  # each shard keeps its own
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            publish_space(directory, before, entry, given or entry["new_spec"], device=device)
    return BackfillReport(
        encoded=encoded,
        gone=gone,
        unreadable=unreadable,
        backfilled=backfilled,
        remaining=remaining,
        complete=not remaining,
        entry=entry,
    )


def publish_space(
    directory: Path, before: Shards, entry: Mapping[str, Any], encoder: EncoderLike | None, *, device: str
) -> None:
    """Publish shards that have changed their space as one: all are indexed by a training of that.

    Args:
        directory: of the whole; the caller holds its lock.
        before: what is published.
        entry: what is recorded of the change.
        encoder: of the space, for queries by words; None where it cannot be had.
        device: where it runs.
    """

    def phrases() -> dict[str, Vectors]:
        words = None if encoder is None else encode_phrases(load_encoder(encoder, device=device))
        return {} if words is None else {"text": words}

    with open_cluster(None) as here:
        publish_shards(
            directory,
            {shard.number: shard.units for shard in before.shards},
            before.source,
            Asked(device=before.request.device, retrain=True, reindex=True, upgrade=entry),
            here,
            before=before,
            phrases=phrases,
        )


def _note(directory: Path, before: Shards, entry: Mapping[str, Any]) -> None:
    """Record how far all shards have come; readers go on with the generations that they have."""
    write_shards(directory, replace(before, generation=before.generation + 1, upgrade=entry))


def _begin(place: Path, entry: Mapping[str, Any]) -> None:
    """Record the upgrade in a shard of the old space, if it is not yet."""
    with writer(place) as lock:
        manifest = read_manifest(place)
        new = Space.from_json(entry["new_space"])
        if manifest.reencoding or manifest.space.same_as(new):
            return
        own = dict(entry) | {
            "backfilled": 0,
            "remaining": manifest.live,
            "staging": f"{STAGING}/{new.fingerprint[:16]}",
        }
        with VectorStore.open(
            store_path(place, manifest), dim=manifest.space.dim, count=manifest.count
        ) as store:
            lock.check()
            publish_tail(
                place,
                store,
                space=manifest.space,
                encoder=manifest.encoder,
                root=manifest.root,
                carried=Carried(upgrades=(*manifest.upgrades, own)),
                derived=derived_files(),
            )

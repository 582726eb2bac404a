"""Let an upgrade take the place of one whose backfill is not done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.migration import Staging
from retrieval.errors import OptionError
from retrieval.upgrades.trial import encode_sample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore, WriterLock
    from indexes.vectors import Ids
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.sources import Source


def staging_of(manifest: Manifest) -> str | None:
    """Return where the rows of the upgrade under way lie, relative to the collection; None without one."""
    return str(manifest.upgrades[-1]["staging"]) if manifest.migrating or manifest.reencoding else None


def require_another(encoder: Encoder, manifest: Manifest) -> None:
    """Refuse the encoder that the upgrade under way leads to.

    Raises:
        OptionError: it is the same space.
    """
    if manifest.migrating and manifest.upgrades[-1]["new_space"]["fingerprint"] == encoder.space.fingerprint:
        raise OptionError(
            f"an upgrade to {encoder.space.name} is under way already; go on with `backfill`, or give it up with `rollback`"
        )


def added_since(directory: Path, manifest: Manifest, *, count: int, lock: WriterLock) -> Ids:
    """Return ids, ascending, of images that were added since the upgrade under way began: the old encoder has not seen them.

    Args:
        directory: the collection's.
        manifest: the published one.
        count: rows of the store, those that a killed build has stored among them.
        lock: the writer's.
    """
    if not manifest.migrating:
        return np.empty(0, dtype=np.int64)
    entry = manifest.upgrades[-1]
    with Staging.open(directory / entry["staging"], dim=int(entry["new_space"]["dim"]), lock=lock) as staging:
        return staging.tables(count)[1]


def encode_added(
    added: Ids,
    store: VectorStore,
    staging: Staging,
    source: Source,
    encoder: Encoder,
    *,
    before: str,
    progress: OnProgress | None,
) -> None:
    """Encode images that only the encoder before has seen, and let them answer: their rows are about to go.

    Args:
        added: ids of those that live.
        store: the collection's.
        staging: of the encoder that comes.
        source: where the images lie.
        encoder: the one that comes.
        before: name of the encoder of the upgrade under way.
        progress: called with a `Progress` now and then.
    Raises:
        OptionError: some of them cannot be read any more.
    """
    if not len(added):
        return
    drawn = [(record, source) for record in store.records(added)]
    taken = encode_sample(drawn, store, staging, encoder, gone=0, progress=progress)
    if left := len(drawn) - len(taken.ids):
        raise OptionError(
            f"{left:,} of the {len(drawn):,} images that {before} alone has encoded cannot be read below {source.name}, or have "
            "changed; mount its drive, update the index with `build_index`, or go on with `backfill`. Nothing was changed"
        )
    for number in added.tolist():
        staging.serve(number, added=True)
    staging.commit()


def require_no_fall(
    entry: Mapping[str, Any], *, name: str, won: float, won_at_the_end: float, measure: str
) -> None:
    """Refuse an upgrade that would find less than the one under way, at its start than that one by now, or at the end.

    Args:
        entry: what the manifest says of that one.
        name: of the encoder that comes.
        won, won_at_the_end: what it finds more than the old encoder does, by its map and its sample, and without a map.
        measure: what that was measured by.
    Raises:
        OptionError: less is won, or it was measured otherwise.
    """
    before = str(entry["new_spec"] or entry["new_space"]["name"])
    if entry.get("measure", "views") != measure:
        raise OptionError(
            f"the upgrade to {before} was measured by {entry.get('measure', 'views')}, that to {name} by {measure}, so they cannot be "
            "compared; measure as before, or use `force=True`"
        )
    ends = entry.get("alone", {})  # earlier versions did not record it
    if ends and won_at_the_end < (before_wins := float(ends["new"]) - float(ends["old"])):
        raise OptionError(
            f"{name} finds {won_at_the_end:+.3f} over the old encoder, {before} {before_wins:+.3f}; go on with `backfill`, or use "
            "`force=True`. Nothing was changed"
        )
    curve, rows = entry["curve"], entry["backfilled"] + entry["remaining"]
    height = float(np.interp(entry["backfilled"] / max(rows, 1), curve["share"], curve["random"]))
    by_now = height - float(entry["methods"][0]["old_old"])
    if won < by_now:
        raise OptionError(
            f"{before}, with {entry['backfilled']:,} images encoded again, finds {by_now:+.3f} over the old encoder, {name} would "
            f"start with {won:+.3f}; go on with `backfill` first, raise `sample`, or use `force=True`. Nothing was changed"
        )

"""Switch a collection to the new space when every image has been encoded again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexes.derivation import Carried, derive
from indexes.migration import Staging, assemble
from indexes.store import RERANK, RerankRows
from retrieval.collection import next_store
from retrieval.collection.rows import derived_files
from retrieval.encoders import encode_phrases
from retrieval.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore, WriterLock
    from indexes.vectors import Bitmap, Ids, Vectors
    from retrieval.collection import Migration
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.upgrades.backfilling.reencoding import Reencoding


def switch_over(
    directory: Path,
    manifest: Manifest,
    migration: Migration | Reencoding,
    *,
    store: VectorStore,
    staging: Staging,
    table: Ids,
    dead: Bitmap,
    encoder: Callable[[], Encoder],
    lock: WriterLock,
    progress: OnProgress | None,
    kind: str | None = None,
) -> Manifest:
    """Publish a generation wholly in the new space: the same ids, records and tombstones, the new rows.

    The old store and what the manifest says of it are kept for a rollback.

    Args:
        directory: the collection's; the caller holds its writer's lock.
        manifest: the published one.
        migration: the change that ends.
        store, staging: the old rows with their records, and the new rows.
        table: ``(count,)`` the staged row of each id.
        dead: ``(count,)`` the tombstones.
        encoder: loads the new one, if the index is tuned for words too.
        lock: checked before anything is published.
        progress: called with a `Progress` now and then.
        kind: of the index; None keeps that of the old rows.
    """
    staged = RerankRows.open(
        staging.store.directory / RERANK, dim=staging.store.dim, count=staging.store.count
    ).rows

    def phrases() -> dict[str, Vectors]:
        words = encode_phrases(encoder())
        return {} if words is None else {"text": words}

    def watched(event: Any) -> None:
        if progress is not None and (kind is None or event.phase != "plan"):  # shards are indexed together
            progress(Progress.of(event))

    with assemble(
        next_store(directory, manifest),
        source=store,
        rows=lambda ids: staged[table[ids]],
        dead=dead,
        dim=migration.new_space.dim,
        lock=lock,
    ) as renewed:
        entry = dict(manifest.upgrades[-1]) | {
            "state": "complete",
            "previous": manifest.to_json()
            | {"upgrades": [], "probes": {}},  # they stand in the manifest already
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        del entry["staging"]
        lock.check()
        return derive(
            directory,
            renewed,
            space=migration.new_space,
            encoder=migration.new,
            root=manifest.root,
            kind=kind,
            extra_queries=phrases,
            progress=watched,
            previous=manifest,
            carried=Carried(upgrades=(*migration.earlier, entry)),
            derived=derived_files(),
        )

"""End a build: delete the rows of files that have gone, derive the index, publish, and remember the folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.derivation import derive
from retrieval.collection.rows import carried, derived_files, learn_rotation, plain
from retrieval.progress import telling
from retrieval.sources import remember

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.generation import Manifest
    from indexes.store import WriterLock
    from retrieval.collection.rows import Growing
    from retrieval.ingestion.encoder_choice import BuildEncoder
    from retrieval.ingestion.intake import Intake
    from retrieval.location import BuildPlace
    from retrieval.progress import OnProgress

__all__ = ["finish_build"]


def finish_build(
    place: BuildPlace,
    lock: WriterLock,
    store: Growing,
    intake: Intake,
    models: BuildEncoder,
    facts: Mapping[str, Any],
    *,
    device: str,
    progress: OnProgress | None,
) -> Manifest:
    """Publish what a build has stored, and keep for the next one what this one saw.

    Args:
        place: where the collection lies.
        lock: held.
        store: open for writing.
        intake: through which all fresh images have gone.
        models: the encoder, for the phrases that the index is tuned for.
        facts: what `indexes.derivation.derivation.derive` records and is asked for.
        device: where faiss may use a GPU.
        progress: called now and then.
    """
    store.remove(intake.gone())
    store.commit()
    lock.check()
    manifest = derive(
        place.directory,
        plain(store),
        **facts,
        learn=learn_rotation,
        derived=derived_files(),
        extra_queries=models.phrases,
        device=device,
        carried=replace(carried(store), probes=models.probes()),
        progress=telling(progress, skipped=lambda: len(intake.skipped)),
    )
    remember(
        place.directory,
        skipped=intake.skipped_everywhere(),
        folders=intake.changes.folders,  # as they were when they were listed: later changes are news to the next build
        rejected=intake.changes.rejected,
        kept=intake.changes.remembered if place.below else None,
    )
    return manifest

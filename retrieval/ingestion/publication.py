"""End a build: delete the rows of files that have gone, derive the index, publish, and remember the sources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.derivation import derive
from retrieval.collection.rows import carried, derived_files, learn_rotation, plain
from retrieval.ingestion.build_sources import write_memories
from retrieval.progress import telling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import WriterLock
    from retrieval.collection.rows import Growing
    from retrieval.ingestion.build_columns import BuildColumns
    from retrieval.ingestion.build_sources import BuildSources
    from retrieval.ingestion.build_views import BuildViews
    from retrieval.ingestion.encoder_choice import BuildEncoder
    from retrieval.ingestion.intake import Intake
    from retrieval.progress import OnProgress
    from retrieval.views import ViewsReport


def finish_build(
    directory: Path,
    sources: BuildSources,
    lock: WriterLock,
    store: Growing,
    intakes: Sequence[Intake],
    models: BuildEncoder,
    columns: BuildColumns,
    views: BuildViews,
    facts: Mapping[str, Any],
    *,
    device: str,
    max_pixels: int | None,
    progress: OnProgress | None,
) -> tuple[Manifest, ViewsReport | None, int]:
    """Publish what a build has stored, and keep for the next one what this one saw.

    Args:
        directory: the collection's.
        sources: of the build.
        lock: held.
        store: open for writing.
        intakes: through which all fresh images have gone, one for each chosen source.
        models: the encoder, for the phrases that the index is tuned for.
        columns: what becomes of the rows' columns.
        views: what becomes of the views of images.
        facts: what `indexes.derivation.derivation.derive` records and is asked for.
        device: where faiss may use a GPU.
        max_pixels: as `retrieval.ingestion.build.build_index` has it.
        progress: called now and then.
    Returns:
        the manifest, what was done to the views, and how many rows of dropped sources were removed.
    """
    dropped = [rows_of(store, source.number) for source in sources.dropped]
    for intake in intakes:
        store.remove(intake.gone())
    for rows in dropped:
        store.remove(rows)
    store.commit()
    lock.check()
    known = columns.finished(plain(store))

    def publish(viewed: int | None) -> Manifest:
        return derive(
            directory,
            plain(store),
            **facts,
            columns=known,
            learn=learn_rotation,
            derived=derived_files(known, viewed=viewed),
            extra_queries=models.phrases,
            device=device,
            carried=replace(carried(store), probes=models.probes()),
            progress=telling(progress, skipped=lambda: sum(len(intake.skipped) for intake in intakes)),
        )

    manifest, viewed = views.finish(
        store,
        sources,
        models,
        lock,
        publish,
        device=device,
        max_pixels=max_pixels,
        progress=progress,
    )
    write_memories(directory, sources, intakes)
    return manifest, viewed, sum(map(len, dropped))


def rows_of(store: Growing, number: int) -> list[int]:
    """Return the live rows of a source."""
    return [row for ids, _ in plain(store).packed(source=number) for row in ids.tolist()]

"""Build one collection, a shard of a larger one or a whole: incremental, resumable, published whole.

The way of a build, each step in a module of its own: the sources (`source_choice`), the encoder (`encoder_choice`), what changed
(`changes`), whether that may be (`source_keys`, `pruning`), the new images (`intake`), and the end (`publication`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from indexes.derivation import check_dim, publish_tail
from retrieval.collection import require_settled
from retrieval.collection.rows import (
    BuildReport,
    carried,
    check_request,
    derived_files,
    index_again,
    locked,
    opened,
    plain,
    swept,
)
from retrieval.display import progress_shown
from retrieval.encoders import require_device
from retrieval.errors import ImagesSkipped
from retrieval.ingestion.build_columns import BuildColumns
from retrieval.ingestion.build_place import several
from retrieval.ingestion.build_sources import choose_sources, only_rows_by_hand
from retrieval.ingestion.build_views import BuildViews
from retrieval.ingestion.changes import (
    WholeListing,
    find_changes,
    refuse_losing,
    refuse_unasked,
    rows_after,
)
from retrieval.ingestion.encoder_choice import BuildEncoder
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.publication import finish_build
from retrieval.ingestion.report import report_of, report_of_rows
from retrieval.progress import telling
from retrieval.sources import reason_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from indexes.derivation import SharedTraining
    from indexes.vectors import Vectors
    from retrieval.collection.rows import Growing
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.ingestion.build_place import SourceLike
    from retrieval.ingestion.build_sources import BuildSource
    from retrieval.ingestion.changes import Changes
    from retrieval.progress import OnProgress, ShowProgress
    from retrieval.sources import Part


def build_one(
    given: Sequence[SourceLike],
    directory: Path,
    *,
    part: Part | None = None,
    whole: WholeListing | None = None,
    elsewhere: Callable[[bytes], Vectors | None] | None = None,
    training: SharedTraining | None = None,
    root: str | os.PathLike[str] | None,
    encoder: EncoderLike | None,
    kind: str | None,
    truncate_dim: int | str | None,
    target_recall: float | None,
    exclude: Sequence[str] | None,
    include: Sequence[str] | None,
    follow_links: bool | None,
    image_column: str | None,
    key_column: str | None,
    column: Sequence[str] | None,
    from0: bool | None,
    allow_private: bool | None,
    every: float | str | None,
    pages: bool | None,
    rehash: bool,
    prune: bool,
    drop_source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    strict: bool,
    max_pixels: int | None,
    headers: bool | None,
    views: int | None,
    device: str,
    progress: ShowProgress,
) -> BuildReport:
    """Build the collection in a directory; takes, returns and raises what `retrieval.build_index` does.

    Args:
        given: the sources that were named; none for those that the collection has.
        directory: the collection's.
        part: of a shard, which part of the source is its own; the rest is other shards'.
        whole: of a shard, as `refuse_unasked` has it.
        elsewhere: of a shard, returns the vector of a content that another shard has or had.
        training: of the first stage that a shard shares with others.
    """
    started = time.monotonic()
    device = require_device(device)
    wanted: dict[str, Any] = {"kind": kind, "dim": truncate_dim, "recall": target_recall}
    asked = {
        "exclude": exclude,
        "include": include,
        "follow_links": follow_links,
        "image_column": image_column,
        "key_column": key_column,
        "column": column,
        "from0": from0,
        "allow_private": allow_private,
        "every": every,
        "pages": pages,
    }
    with progress_shown(progress) as watch, locked(directory, is_shard=part is not None) as lock:
        before = swept(directory)
        unasked = (
            part is None
            and all(one is None for one in (views, root, headers, max_pixels, *asked.values()))
            and not (rehash or prune or several(drop_source))
        )
        named = encoder is not None
        if before is not None and unasked and only_rows_by_hand(given, directory, before, is_named=named):
            if named:
                BuildEncoder(encoder, directory, before, device).require()
            require_settled(before, what="rows cannot be indexed again now")
            check_request(lambda: before.space, **wanted)
            manifest = index_again(directory, before, lock, **wanted, device=device, progress=telling(watch))
            return report_of_rows(manifest, directory, seconds=time.monotonic() - started)
        chosen = choose_sources(
            given,
            directory,
            before,
            options={name: _plain(value) for name, value in asked.items() if value is not None},
            root=root,
            drop=several(drop_source),
            part=part,
        )
        models = BuildEncoder(encoder, directory, before, device)
        models.require()
        check_request(lambda: models.space, **wanted)
        viewed = BuildViews(directory, before, views)
        columns = BuildColumns(before, headers=headers, sources=chosen.chosen)
        found = find_changes(
            chosen,
            directory,
            before,
            retry_large=max_pixels is not None,
            rehash=rehash,
            prune=prune,
            progress=watch,
        )
        for source, changes in zip(chosen.chosen, found, strict=True):
            refuse_unasked(
                changes,
                source,
                prune=prune,
                is_first=before is None,
                may_be_empty=part is not None or chosen.may_be_empty(source),
                whole=whole,
            )
        # Before anything is stored:
        check_dim(models.stored_space, truncate_dim, rows=rows_after(found, before))

        facts: dict[str, Any] = {"space": models.stored_space, "encoder": models.stored}
        recorded = (*chosen.recorded, *chosen.dropped)
        with opened(directory, lock, before, **facts, sources=recorded, columns=columns.begun) as store:
            viewed.begin()
            if (
                before is not None and chosen.adds
            ):  # so that no row has a number that the manifest does not know
                publish_tail(
                    directory,
                    plain(store),
                    **facts,
                    carried=carried(store, briefly=True),
                    sources=recorded,
                    derived=derived_files(),
                )
            intakes = _take_in(
                chosen.chosen,
                found,
                store,
                models,
                watch,
                max_pixels=max_pixels,
                headers=columns.headers,
                elsewhere=elsewhere,
            )
            for source in chosen.chosen:
                columns.fill(store, source.source, number=source.number, progress=watch)
                columns.update(store, source)
            if not prune:
                for source, intake in zip(chosen.chosen, intakes, strict=True):
                    refuse_losing(intake.changes, source, broken=len(intake.broken), whole=whole)
            facts |= {"sources": chosen.recorded}
            manifest, parts, dropped = finish_build(
                directory,
                chosen,
                lock,
                store,
                intakes,
                models,
                columns,
                viewed,
                facts | wanted | {"training": training},
                device=device,
                max_pixels=max_pixels,
                progress=watch,
            )
    report = report_of(
        manifest, directory, chosen, intakes, dropped, parts, seconds=time.monotonic() - started
    )
    if strict and report.incomplete:
        raise ImagesSkipped(
            f"{report.incomplete[0]}; {report.not_seen:,} rows of sources that were not listed to their end stay as they were"
        )
    if strict and report.skipped:
        raise ImagesSkipped(
            f"{report.skipped:,} files were skipped ({reason_words(report.skipped_by_reason)}); "
            f"the index is complete without them; {directory / 'skipped.tsv'} lists them"
        )
    return report


def _take_in(
    sources: Sequence[BuildSource],
    found: Sequence[Changes],
    store: Growing,
    models: BuildEncoder,
    progress: OnProgress | None,
    *,
    max_pixels: int | None,
    headers: bool,
    elsewhere: Callable[[bytes], Vectors | None] | None,
) -> list[Intake]:
    """Bring the fresh images of all sources into the store, one source after the other."""
    total = sum(len(changes.fresh) + len(changes.media) for changes in found)
    done = 0
    checked: list[Encoder] = []  # once it was compared with what the collection holds
    intakes: list[Intake] = []
    for source, changes in zip(sources, found, strict=True):

        def encoder(source: BuildSource = source) -> Encoder:
            if not checked:
                checked.append(models.checked(store, source.source))
            return checked[0]

        fresh = len(changes.fresh) + len(changes.media)
        intake = Intake(
            changes,
            store,
            source.source,
            encoder,
            progress,
            max_pixels=max_pixels,
            number=source.number,
            before=done,
            total=total,
            headers=headers,
            elsewhere=elsewhere,
        )
        intake.run()
        done += fresh
        intakes.append(intake)
    return intakes


def _plain(value: Any) -> Any:
    """Return an option's value as JSON has it."""
    return value if isinstance(value, str | int | float | bool) else list(value)

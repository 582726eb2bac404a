"""Build a collection from its sources: incremental, resumable, published whole.

The way of a build, each step in a module of its own: the place and the sources (`source_choice`), the encoder (`encoder_choice`),
what changed (`changes`), whether that may be (`source_keys`, `pruning`), the new images (`intake`), and the end (`publication`).
Long because the order of a build stands in one function.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from indexes.derivation import check_dim, publish_tail
from retrieval.collection.rows import (
    BuildReport,
    carried,
    check_request,
    derived_files,
    locked,
    opened,
    plain,
    swept,
)
from retrieval.deprecation import renamed_keywords
from retrieval.display import progress_shown
from retrieval.encoders import require_device
from retrieval.errors import ImagesSkipped
from retrieval.hints import named_arguments
from retrieval.ingestion.build_columns import BuildColumns
from retrieval.ingestion.build_place import find_directory
from retrieval.ingestion.build_views import BuildViews
from retrieval.ingestion.changes import find_changes, rows_after
from retrieval.ingestion.encoder_choice import BuildEncoder
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.pruning import refuse_losing, refuse_unasked
from retrieval.ingestion.publication import finish_build
from retrieval.ingestion.report import report_of
from retrieval.ingestion.source_choice import choose_sources
from retrieval.sources import reason_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.collection.rows import Growing
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.ingestion.build_place import SourceLike
    from retrieval.ingestion.build_sources import BuildSource
    from retrieval.ingestion.changes import Changes
    from retrieval.progress import OnProgress, ShowProgress


@renamed_keywords(dim="truncate_dim", recall="target_recall", folder="sources")
@named_arguments
def build_index(
    sources: SourceLike | Sequence[SourceLike] | None = None,
    *,
    index: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    encoder: EncoderLike | None = None,
    kind: str | None = None,
    truncate_dim: int | str | None = None,
    target_recall: float | None = None,
    exclude: Sequence[str] | None = None,
    include: Sequence[str] | None = None,
    follow_links: bool | None = None,
    image_column: str | None = None,
    key_column: str | None = None,
    column: Sequence[str] | None = None,
    from0: bool | None = None,
    allow_private: bool | None = None,
    every: float | str | None = None,
    pages: bool | None = None,
    rehash: bool = False,
    prune: bool = False,
    drop_source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    strict: bool = False,
    max_pixels: int | None = None,
    headers: bool | None = None,
    views: int | None = None,
    device: str = "auto",
    progress: ShowProgress = True,
) -> BuildReport:
    """Embed the images of folders and other sources, store their vectors and index them; again, only what changed.

    A source that the collection does not have is added; those that are not named stay as they are. Rows of a source are removed
    only if it was listed to its end.

    Args:
        sources: a folder, another source (see `retrieval.sources`), or a list of these; ``None`` repeats all that the collection
            has.
        index: where the collection lies; ``None`` is ``.retrieve`` inside the folder. Needed where the first source is no folder.
        root: the folder that paths are recorded relative to, when not the folder itself, which lies in it; or where the
            collection's folder lies now.
        encoder: a spec such as ``nano`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``, an encoder, or a class of encoders;
            ``None`` keeps the collection's own, and is ``nano`` for a new one.
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string; ``None`` keeps the collection's own choice,
            and is ``auto`` for a new one.
        truncate_dim: width of the first stage: one of the space's prefix widths, or any width where the encoder was not trained to be
            cut and a rotation is fitted; ``auto`` measures and chooses; ``None`` is the full width.
        target_recall: recall@10 to reach, in (0, 1]; ``None`` keeps the collection's own, and is 0.95 for a new one.
        exclude: globs over paths relative to the root to leave out; ``None`` keeps the collection's own, none leave nothing out.
        include: globs of system folders that are walked all the same (`retrieval.sources.selection.SKIPPED_FOLDERS` lists them), and of
            what to take in them; ``None`` keeps the collection's own.
        follow_links: walk into linked folders, which are listed as skipped otherwise; ``None`` keeps the collection's own choice.
        image_column: the column of a table or a listing with the images, or with their paths or URLs; ``None`` keeps the
            collection's own, and is the one that looks like it for a new source.
        key_column: the column of a table with the keys of its rows; ``None`` keeps the collection's own, and is
            ``name.parquet#row`` for a new source.
        column: columns of a table or a listing that are kept beside the images; ``None`` keeps the collection's own, and is
            captions and labels for a new source.
        from0: a NUL ends each line of a listing; ``None`` keeps the collection's own choice, and is no for ``-``.
        allow_private: URLs may lead into private networks; ``None`` keeps the collection's own choice.
        every: takes in films: a picture each so many seconds, or one a scene (``"scenes"``); ``""`` takes none. ``None`` keeps
            the collection's own choice.
        pages: takes in PDF documents, a picture a page; ``None`` keeps the collection's own choice.
        rehash: read every file, and let its content alone decide whether it has changed; otherwise a file of the same size and
            modification time is unchanged.
        prune: allow a build to remove more than half of at least 20 rows, all of them, those behind links that are not
            followed any more, or those below a folder whose file system is not mounted.
        drop_source: sources of the collection that are removed with their rows.
        strict: raise when files were skipped or a source was not listed to its end, after the build is complete.
        max_pixels: how many pixels of four bytes a decoded image may have; a larger one is skipped. ``None`` is 67,108,864,
            8,192 squared. Images that were skipped as too large are tried again if it is given.
        headers: keep what each image's file says of it as columns: width, height, bytes, time taken, camera, place. ``None``
            keeps the collection's own choice, and is True for a new one. Given for a collection without them, the files' heads
            are read once; nothing is encoded again.
        views: how many parts of each image get a vector of their own, so that small crops of it and what it shows small are
            found, too; 0 drops them. ``None`` keeps the collection's own choice, and is none for a new one.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Returns:
        What was done. An interrupted build keeps what it had; the next one continues.
    Raises:
        OptionError: a source is missing or cannot be opened, two of them give one key, or a value that this collection cannot
            take. Nothing was changed.
        PruneRefused: it would remove what `prune` allows.
        StoreLocked: another build is running.
        UnknownEncoder, WeightsNotFound: the encoder cannot be had.
        SpaceMismatch: an encoder object that gives other vectors than the collection holds for the same images.
        ImagesSkipped: `strict`, and files were skipped or not seen.
    """
    started = time.monotonic()
    device = require_device(device)
    given = _several(sources)
    directory = find_directory(given, index)
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
    with progress_shown(progress) as watch, locked(directory) as lock:
        before = swept(directory)
        chosen = choose_sources(
            given,
            directory,
            before,
            options={name: _plain(value) for name, value in asked.items() if value is not None},
            root=root,
            drop=_several(drop_source),
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
                may_be_empty=chosen.may_be_empty(source),
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
                chosen.chosen, found, store, models, watch, max_pixels=max_pixels, headers=columns.headers
            )
            for source in chosen.chosen:
                columns.fill(store, source.source, number=source.number, progress=watch)
                columns.update(store, source)
            if not prune:
                for source, intake in zip(chosen.chosen, intakes, strict=True):
                    refuse_losing(intake.changes, source, broken=len(intake.broken))
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
                facts | wanted,
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
        )
        intake.run()
        done += fresh
        intakes.append(intake)
    return intakes


def _several(given: Any) -> list[Any]:
    """Return what was given as a list: one source, several, or none."""
    if given is None:
        return []
    if isinstance(given, str | os.PathLike) or hasattr(given, "entries"):
        return [given]
    return list(given)


def _plain(value: Any) -> Any:
    """Return an option's value as JSON has it."""
    return value if isinstance(value, str | int | float | bool) else list(value)

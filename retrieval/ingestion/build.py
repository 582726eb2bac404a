"""Build a collection from a folder: incremental, resumable, published whole.

The way of a build, each step in a room of its own: the place (`retrieval.location`), the encoder (`encoder_choice`), what changed
(`changes`), whether that may be (`pruning`), the new images (`intake`), and the end (`publication`).
Long because the order of a build stands in one function.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from indexes.derivation import check_dim
from retrieval.collection.rows import BuildReport, check_request, folder_number, locked, opened, swept
from retrieval.deprecation import renamed_keywords
from retrieval.display import progress_shown
from retrieval.encoders import require_device
from retrieval.errors import ImagesSkipped
from retrieval.hints import named_arguments
from retrieval.ingestion.changes import find_changes
from retrieval.ingestion.encoder_choice import BuildEncoder
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.pruning import refuse_losing, refuse_unasked
from retrieval.ingestion.publication import finish_build
from retrieval.location import find_build_place, place_collection, require_folder
from retrieval.sources import FolderMemory, FolderOptions, FolderSource, count_reasons, reason_words

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from retrieval.encoders import EncoderLike
    from retrieval.progress import ShowProgress


@renamed_keywords(dim="truncate_dim", recall="target_recall")
@named_arguments
def build_index(
    folder: str | os.PathLike[str],
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
    rehash: bool = False,
    prune: bool = False,
    strict: bool = False,
    max_pixels: int | None = None,
    device: str = "auto",
    progress: ShowProgress = True,
) -> BuildReport:
    """Embed the images of a folder, store their vectors and index them; again, only what changed.

    Args:
        folder: the images.
        index: where the collection lies; ``None`` is ``.retrieve`` inside the folder.
        root: the folder that paths are recorded relative to, when not `folder` itself; `folder` lies in it.
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
        rehash: read every file, and let its content alone decide whether it has changed; otherwise a file of the same size and
            modification time is unchanged.
        prune: allow a build to remove more than half of at least 20 rows, all of them, those behind links that are not
            followed any more, or those below a folder whose file system is not mounted.
        strict: raise when files were skipped, after the build is complete.
        max_pixels: how many pixels of four bytes a decoded image may have; a larger one is skipped. ``None`` is 67,108,864,
            8,192 squared. Images that were skipped as too large are tried again if it is given.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Returns:
        What was done. An interrupted build keeps what it had; the next one continues.
    Raises:
        OptionError: the folder is missing, or a value that this collection cannot take.
        PruneRefused: it would remove what `prune` allows.
        StoreLocked: another build is running.
        UnknownEncoder, WeightsNotFound: the encoder cannot be had.
        SpaceMismatch: an encoder object that gives other vectors than the collection holds for the same images.
        ImagesSkipped: `strict`, and files were skipped.
    """
    started = time.monotonic()
    device = require_device(device)
    images = require_folder(folder)
    directory = place_collection(images, index)
    wanted: dict[str, Any] = {"kind": kind, "dim": truncate_dim, "recall": target_recall}
    with progress_shown(progress) as watch, locked(directory) as lock:
        before = swept(directory)
        place = find_build_place(images, directory, root=root, before=before)
        models = BuildEncoder(encoder, place, device)
        models.require()
        check_request(lambda: models.space, **wanted)
        options = FolderOptions.of(before, exclude=exclude, include=include, follow_links=follow_links)
        source = FolderSource(place.root, options, below=place.below)
        memory = FolderMemory.read(directory, retry_large=max_pixels is not None)

        changes = find_changes(place, source, memory, rehash=rehash, progress=watch)
        refuse_unasked(changes, place, selection=options.selection, prune=prune)
        check_dim(
            models.stored_space, truncate_dim, rows=changes.rows_after(before)
        )  # before anything is stored

        facts: dict[str, Any] = {
            "space": models.stored_space,
            "encoder": models.stored,
            "root": place.recorded,
            "source_options": source.options if place.is_whole else None,
        }
        with opened(directory, lock, before, **facts) as store:
            intake = Intake(
                changes,
                store,
                source,
                lambda: models.checked(store, source),
                watch,
                max_pixels=max_pixels,
                number=folder_number(before),
            )
            intake.run()
            if not prune:
                refuse_losing(changes, place, selection=options.selection, broken=len(intake.broken))
            manifest = finish_build(
                place, lock, store, intake, models, facts | wanted, device=device, progress=watch
            )
    report = BuildReport.of(
        manifest,
        root=place.root,
        directory=directory,
        seconds=time.monotonic() - started,
        encoded=intake.encoded,
        reused=intake.reused,
        moved=intake.moved,
        removed=len(intake.gone()),
        skipped_by_reason=count_reasons(intake.skipped),
        other_files=dict(changes.others.most_common()),
        left_out=dict(changes.left_out.most_common()),
    )
    if strict and report.skipped:
        raise ImagesSkipped(
            f"{report.skipped:,} files were skipped ({reason_words(report.skipped_by_reason)}); "
            f"the index is complete without them; {directory / 'skipped.tsv'} lists them"
        )
    return report

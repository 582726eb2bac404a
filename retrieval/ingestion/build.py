"""Build a collection from a folder: incremental, resumable, published whole."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from indexes.derivation import check_dim, derive
from indexes.generation import store_path
from indexes.store import VectorStore
from retrieval.collection import Migration, sweep, sweep_changes
from retrieval.collection.rows import (
    BuildReport,
    carried,
    check_request,
    folder_number,
    hand_number,
    holder_by_hand,
    learn_rotation,
    locked,
    opened,
    plain,
    published,
)
from retrieval.encoders import require_device
from retrieval.errors import ImagesSkipped, OptionError
from retrieval.hints import named_arguments
from retrieval.ingestion.changes import Before, Changes, compare
from retrieval.ingestion.encoder_choice import BuildEncoder
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.pruning import (
    refuse_emptying,
    refuse_foreign_keys,
    refuse_unlinking,
    refuse_unmounting,
)
from retrieval.ingestion.stored_files import StoredFiles
from retrieval.location import (
    DIRECTORY,
    ENVIRONMENT,
    chosen_by_environment,
    inside,
    place_collection,
    record_root,
    require_folder,
    resolve_root,
)
from retrieval.progress import OnProgress, Progress
from retrieval.sources import (
    FORMATS,
    NOT_FOLLOWED,
    FolderOptions,
    FolderSource,
    Found,
    Seen,
    Skipped,
    SkippedFile,
    count_reasons,
    folder_memory,
    read_skipped,
    write_skipped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from retrieval.encoders import EncoderLike

_AGAIN = "again"  # the reason of a skipped file that does not last


@named_arguments
def build_index(
    folder: str | os.PathLike[str],
    *,
    index: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    encoder: EncoderLike | None = None,
    kind: str | None = None,
    dim: int | str | None = None,
    recall: float | None = None,
    exclude: Sequence[str] | None = None,
    include: Sequence[str] | None = None,
    follow_links: bool | None = None,
    rehash: bool = False,
    prune: bool = False,
    strict: bool = False,
    max_pixels: int | None = None,
    device: str = "auto",
    progress: OnProgress | None = None,
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
        dim: width of the first stage: one of the space's prefix widths, or any width where the encoder was not trained to be
            cut and a rotation is fitted; ``auto`` measures and chooses; ``None`` is the full width.
        recall: recall@10 to reach, in (0, 1]; ``None`` keeps the collection's own, and is 0.95 for a new one.
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
        progress: called with a `Progress` now and then, from this thread.
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
    with locked(directory) as lock:
        before = published(directory)
        if before is not None:
            sweep(directory, before)
            sweep_changes(directory, before)
        home = _root(directory, images, root, before)
        models = BuildEncoder(
            encoder, before, device, None if before is None else Migration.read(directory, before)
        )
        models.require()
        check_request(lambda: models.space, kind=kind, dim=dim, recall=recall)
        below = _below(images, home)
        options = FolderOptions.of(before, exclude=exclude, include=include, follow_links=follow_links)
        source = FolderSource(home, options, below=below)
        number = folder_number(before)
        seen = Seen()
        remembered = Before(
            skipped=_remembered(directory, max_pixels),
            rejected=folder_memory.read_rejected(directory),
            folders=folder_memory.read_folders(directory),
        )
        with _rows(directory, before) as store:
            stored = StoredFiles.of(() if store is None else store.packed(source=number))
            changes = compare(
                _watched(source.entries(seen), progress),
                stored,
                source=source,
                records=lambda ids: [] if store is None else store.records(ids),
                before=remembered,
                seen=seen,
                below=below,
                rehash=rehash,
            )
            if store is not None and store.live > len(stored):
                held_by = partial(holder_by_hand, store, hand=hand_number(before))
                refuse_foreign_keys((file.key for file in changes.fresh), held_by, folder=home)
        if not prune:
            refuse_unlinking(rows=changes.rows, unfollowed=changes.unfollowed, folder=images)
            refuse_unmounting(rows=changes.rows, unmounted=changes.unmounted, folder=images)
            refuse_emptying(
                rows=changes.rows,
                removed=len(changes.missing) - len(changes.fresh),  # each fresh file may be a moved one
                found=changes.found + len(changes.fresh),
                folder=images,
                missing=changes.missing,
                selection=options.selection,
            )
        if not (changes.rows or changes.fresh or (before is not None and changes.skipped)):
            raise OptionError(_nothing(images, changes))
        if dim is not None:  # before anything is stored
            elsewhere = 0 if before is None else before.live - changes.rows
            check_dim(models.stored_space, dim, rows=elsewhere + changes.found + len(changes.fresh))
        recorded = record_root(directory, home)
        new = before is not None and before.folder is None
        asked = None if below and not new else source.options  # of a part, they are not those of the whole
        with opened(
            directory,
            lock,
            before,
            space=models.stored_space,
            encoder=models.stored,
            root=recorded,
            source_options=asked,
        ) as store:
            intake = Intake(
                changes,
                store,
                source,
                lambda: models.checked(store, source),
                progress,
                max_pixels=max_pixels,
                number=number,
            )
            intake.run()
            gone = [*changes.missing.values(), *intake.broken]
            if not prune:
                refuse_emptying(
                    rows=changes.rows,
                    removed=len(gone),
                    found=1,
                    folder=images,
                    missing=changes.missing,
                    selection=options.selection,
                )
            store.remove(gone)
            store.commit()
            lock.check()
            manifest = derive(
                directory,
                plain(store),
                space=models.stored_space,
                encoder=models.stored,
                root=recorded,
                kind=kind,
                dim=dim,
                recall=recall,
                learn=learn_rotation,
                extra_queries=models.phrases,
                device=device,
                carried=replace(carried(store), probes=models.probes()),
                source_options=asked,
                progress=None
                if progress is None
                else lambda event: progress(Progress.of(event, skipped=len(intake.skipped))),
            )
            write_skipped(directory, [*intake.skipped, *changes.skipped_elsewhere])
            # As they were when they were listed: what changes during the build is news to the next one.
            folder_memory.write_folders(directory, changes.folders)
            rejected = folder_memory.digests(changes.rejected)
            if below:  # those of other folders are not told apart
                rejected = np.union1d(rejected, remembered.rejected)
            folder_memory.write_rejected(directory, rejected)
    report = BuildReport.of(
        manifest,
        root=home,
        directory=directory,
        seconds=time.monotonic() - started,
        encoded=intake.encoded,
        reused=intake.reused,
        moved=intake.moved,
        removed=len(gone),
        skipped_by_reason=count_reasons(intake.skipped),
        other_files=dict(changes.others.most_common()),
        left_out=dict(seen.left_out.most_common()),
    )
    if strict and report.skipped:
        raise ImagesSkipped(
            f"{report.skipped} files were skipped ({_reasons(report.skipped_by_reason)}); "
            f"the index is complete without them; {directory / 'skipped.tsv'} lists them"
        )
    return report


def _remembered(directory: Path, max_pixels: int | None) -> dict[bytes, SkippedFile]:
    """Return the skipped files of the last build; those that were too large are to be tried again with a limit of its own."""
    files = read_skipped(directory)
    if max_pixels is None:
        return files
    return {
        key: replace(file, reason=_AGAIN) if file.reason == "too-large" else file
        for key, file in files.items()
    }


def _root(
    directory: Path, images: Path, root: str | os.PathLike[str] | None, before: Manifest | None
) -> Path:
    """Return the folder that keys are relative to."""
    if root is not None:
        home = require_folder(root)
        if inside(images, home) is None:
            raise OptionError(f"{images} does not lie in the root {home}")
        return home
    if before is None:
        return images
    recorded = resolve_root(directory, before.root)
    part = inside(images, recorded)
    if part is None:
        raise OptionError(_foreign(directory, images, recorded))
    return images if part == os.curdir else recorded


def _foreign(directory: Path, images: Path, recorded: Path) -> str:
    moved = f'if that folder moved, say so with `root="{images}"`'
    named = ""
    if chosen_by_environment(directory):  # --root would make another folder's collection one of this
        named = f", which {ENVIRONMENT} names,"
        own = f'unset {ENVIRONMENT}, or name the folder\'s own with `index="{images / DIRECTORY}"`'
        moved = own if recorded.exists() else f"{own}; {moved}"
    return f"the collection {directory}{named} belongs to the folder {recorded}, not to {images}; {moved}"


def _below(images: Path, home: Path) -> bytes:
    part = os.fsencode(inside(images, home) or os.curdir)
    return b"" if part == os.fsencode(os.curdir) else part.replace(os.fsencode(os.sep), b"/") + b"/"


@contextmanager
def _rows(directory: Path, before: Manifest | None) -> Iterator[VectorStore | None]:
    """Open the rows that there are; None where there are none yet."""
    place = store_path(directory, before)
    if before is None or not VectorStore.exists(place):
        yield None
        return
    with VectorStore.open(place, dim=before.space.dim) as store:
        yield store


def _watched(entries: Iterator[Found | Skipped], progress: OnProgress | None) -> Iterator[Found | Skipped]:
    for number, entry in enumerate(entries, start=1):
        if progress is not None and number % 1000 == 0:
            progress(Progress(phase="scan", done=number))
        yield entry


def _nothing(images: Path, changes: Changes) -> str:
    files = [file for file in changes.skipped if file.reason != NOT_FOLLOWED]
    links = len(changes.skipped) - len(files)
    cure = (
        f"`follow_links=True` enters its linked folders ({links})"
        if links
        else "check the path, or `exclude`"
    )
    if files:
        reasons = _reasons(count_reasons(files))
        return f"{images}: none of its {len(files)} image files can be read ({reasons}; read are {FORMATS}); {cure}"
    return f"{images} holds no images ({FORMATS}); {cure}"


def _reasons(by_reason: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in by_reason.items())

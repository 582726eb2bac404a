"""A folder becomes a collection: incremental, resumable, published whole."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from indexes.derive import check_dim, derive
from indexes.manifest import store_path
from indexes.store import NewRow, VectorStore
from retrieval import keys
from retrieval.changes import Changes, compare, refuse_emptying
from retrieval.encoders import canonical_spec, load_encoder
from retrieval.errors import (
    ImageError,
    ImagesSkipped,
    OptionError,
)
from retrieval.growing import Growing, carried, plain
from retrieval.location import place_collection, record_root, require_folder, resolve_root
from retrieval.migration import Migration
from retrieval.phrases import encode_phrases
from retrieval.report import BuildReport, OnProgress, Progress
from retrieval.skipped import SkippedFile, count_reasons, read_skipped, write_skipped
from retrieval.stores import sweep, sweep_changes
from retrieval.walk import Found, Skipped, walk
from retrieval.writing import check_request, learn_rotation, locked, opened, published

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from indexes.arrays import Vectors
    from indexes.manifest import Manifest
    from indexes.space import Space
    from indexes.store import Record
    from retrieval.encoders import Encoder

# A killed build loses at most this much.
COMMIT_SECONDS = 5.0
COMMIT_ROWS = 32_768

DEFAULT_ENCODER = "nano"


def build_index(
    folder: str | os.PathLike[str],
    *,
    index: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    encoder: str | Encoder | None = None,
    kind: str | None = None,
    dim: int | str | None = None,
    recall: float | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    prune: bool = False,
    strict: bool = False,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> BuildReport:
    """Embed the images of a folder, store their vectors and index them; again, only what changed.

    Args:
        folder: the images.
        index: where the collection lies; ``None`` is ``.retrieve`` inside the folder.
        root: the folder that paths are recorded relative to, when not `folder` itself; `folder` lies in it.
        encoder: a spec such as ``nano`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``, or an encoder; ``None`` keeps the
            collection's own, and is ``nano`` for a new one.
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string; ``None`` keeps the collection's own choice,
            and is ``auto`` for a new one.
        dim: width of the first stage: one of the space's prefix widths, or any width where the encoder was not trained to be
            cut and a rotation is fitted; ``auto`` measures and chooses; ``None`` is the full width.
        recall: recall@10 to reach, in (0, 1]; ``None`` keeps the collection's own, and is 0.95 for a new one.
        exclude: globs over relative paths to leave out.
        follow_links: walk into linked folders.
        prune: allow a build to remove more than half of the rows.
        strict: raise when files were skipped, after the build is complete.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        progress: called with a `Progress` now and then, from this thread.
    Returns:
        What was done. An interrupted build keeps what it had; the next one continues.
    Raises:
        OptionError: the folder is missing, or a value that this collection cannot take.
        PruneRefused: it would remove more than half of at least 20 rows.
        StoreLocked: another build is running.
        UnknownEncoder, WeightsNotFound: the encoder cannot be had.
        ImagesSkipped: `strict`, and files were skipped.
    """
    started = time.monotonic()
    images = require_folder(folder)
    directory = place_collection(images, index)
    with locked(directory) as lock:
        before = published(directory)
        if before is not None:
            sweep(directory, before)
            sweep_changes(directory, before)
        home = _root(directory, images, root, before)
        models = _Models(
            encoder, before, device, None if before is None else Migration.read(directory, before)
        )
        check_request(lambda: models.space, kind=kind, dim=dim, recall=recall)
        below = _below(images, home)
        entries = _walk(images, below=below, exclude=exclude, follow_links=follow_links)
        changes = compare(
            _watched(entries, progress),
            _records(directory, before),
            below=below,
            remembered=read_skipped(directory),
        )
        # As they are now: what changes during the build is news to the next one.
        folders = keys.folder_times(home, [*changes.found, *(file.key for file in changes.fresh)])
        if not prune:
            refuse_emptying(
                rows=changes.rows,
                removed=len(changes.missing) - len(changes.fresh),  # each fresh file may be a moved one
                found=len(changes.found) + len(changes.fresh),
                folder=images,
            )
        if not (changes.rows or changes.fresh or (before is not None and changes.skipped)):
            raise OptionError(_nothing(images, changes))
        if dim is not None:  # before anything is stored
            elsewhere = 0 if before is None else before.live - changes.rows
            check_dim(models.stored_space, dim, rows=elsewhere + len(changes.found) + len(changes.fresh))
        recorded = record_root(directory, home)
        with opened(
            directory, lock, before, space=models.stored_space, encoder=models.stored, root=recorded
        ) as store:
            counts = _Counts(skipped=list(changes.skipped))
            _embed(changes, store, models, counts, progress)
            gone = [*changes.missing.values(), *counts.broken]
            if not prune:
                refuse_emptying(rows=changes.rows, removed=len(gone), found=1, folder=images)
            store.remove(gone)
            counts.removed += len(gone)
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
                carried=carried(store),
                progress=None
                if progress is None
                else lambda event: progress(Progress.of(event, skipped=len(counts.skipped))),
            )
            write_skipped(directory, [*counts.skipped, *changes.skipped_elsewhere])
            keys.write_folders(directory, folders, below=below)
    report = BuildReport.of(
        manifest,
        root=home,
        directory=directory,
        seconds=time.monotonic() - started,
        encoded=counts.encoded,
        reused=counts.reused,
        moved=counts.moved,
        removed=counts.removed,
        skipped_by_reason=count_reasons(counts.skipped),
    )
    if strict and report.skipped:
        raise ImagesSkipped(
            f"{report.skipped} files were skipped ({_reasons(report.skipped_by_reason)}); "
            f"the index is complete without them; {directory / 'skipped.tsv'} lists them"
        )
    return report


@dataclass(slots=True)
class _Counts:
    """What has been done so far."""

    skipped: list[SkippedFile] = field(default_factory=list)
    encoded: int = 0
    reused: int = 0
    moved: int = 0
    removed: int = 0
    broken: list[int] = field(default_factory=list)  # rows of files that can no longer be read


class _Models:
    """The encoder of a build, loaded only when an image must be encoded."""

    def __init__(
        self,
        encoder: str | Encoder | None,
        before: Manifest | None,
        device: str,
        migration: Migration | None = None,
    ) -> None:
        self._device = device
        self._before = before
        self._migration = migration
        self._encoder: Encoder | None = None
        recorded = None if before is None else before.encoder
        if migration is not None:  # new images are encoded by the new encoder only
            recorded = migration.new
        if before is not None and recorded is None and encoder is None:
            raise OptionError(
                f"this collection was built from vectors of the space {before.space.name}; add to it with --vectors and "
                f"--keys, or name an encoder of that space"
            )
        if isinstance(encoder, str) or encoder is None:
            self.spec: str | None = canonical_spec(encoder or recorded or DEFAULT_ENCODER)
            if before is not None and recorded not in (None, self.spec):
                raise OptionError(
                    f"this collection holds vectors of {recorded}, not of {self.spec}; "
                    f"leave --encoder away, or name another place with --index"
                )
        else:
            self._encoder = load_encoder(encoder)
            self.spec = getattr(encoder, "spec", None) or recorded  # of one space: who built it still answers
            self._check()

    @property
    def encoder(self) -> Encoder:
        if self._encoder is None:
            if self.spec is None:
                raise OptionError("the collection records no encoder; give one")
            self._encoder = load_encoder(self.spec, device=self._device)
            self._check()
        return self._encoder

    @property
    def space(self) -> Space:
        """The space of what is encoded."""
        if self._migration is not None:
            return self._migration.new_space
        return self._before.space if self._before is not None else self.encoder.space

    @property
    def stored_space(self) -> Space:
        """The space of the collection's own rows; another one only while its encoder changes."""
        return self.space if self._migration is None else self._migration.old_space

    @property
    def stored(self) -> str | None:
        """The encoder of those."""
        return self.spec if self._migration is None else self._migration.old

    def phrases(self) -> Mapping[str, Vectors]:
        """Encode the built-in phrases: text queries lie off the images' distribution, so their recall is measured too."""
        words = encode_phrases(self.encoder)
        if words is not None and self._migration is not None:
            words = self._migration.way.queries(words, None, words=True)
        return {} if words is None else {"text": words}

    def _check(self) -> None:
        if self._encoder is not None and self._before is not None:
            self.space.require(self._encoder.space, what=f"the encoder {self._encoder.space.name}")


def _root(
    directory: Path, images: Path, root: str | os.PathLike[str] | None, before: Manifest | None
) -> Path:
    """Return the folder that keys are relative to."""
    if root is not None:
        home = require_folder(root)
        if _inside(images, home) is None:
            raise OptionError(f"{images} does not lie in the root {home}")
        return home
    if before is None:
        return images
    recorded = resolve_root(directory, before.root)
    inside = _inside(images, recorded)
    if inside is None:
        raise OptionError(
            f"the collection {directory} belongs to the folder {recorded}, not to {images}; "
            f"if that folder moved, say so with --root {images}"
        )
    return images if inside == os.curdir else recorded


def _inside(images: Path, home: Path) -> str | None:
    """Return the folder relative to the root, by their names or else by where these lead; ``None`` if it lies outside."""
    for name, top in ((images, home), (os.path.realpath(images), os.path.realpath(home))):
        inside = os.path.relpath(name, top)
        if inside != os.pardir and not inside.startswith(os.path.join(os.pardir, "")):
            return inside
    return None


def _below(images: Path, home: Path) -> bytes:
    inside = os.fsencode(_inside(images, home) or os.curdir)
    return b"" if inside == os.fsencode(os.curdir) else inside.replace(os.fsencode(os.sep), b"/") + b"/"


def _records(directory: Path, before: Manifest | None) -> list[Record]:
    place = store_path(directory, before)
    if before is None or not VectorStore.exists(place):
        return []
    with VectorStore.open(place, dim=before.space.dim) as store:
        return list(store.scan())


def _walk(
    images: Path, *, below: bytes, exclude: Sequence[str], follow_links: bool
) -> Iterator[Found | Skipped]:
    """Walk the folder, with keys relative to the root."""
    try:
        for entry in walk(images, exclude=exclude, follow_links=follow_links):
            yield replace(entry, key=below + entry.key) if below else entry
    except OSError as error:
        raise OptionError(
            f"{images} cannot be listed ({error.strerror}); check its permissions, or mount its drive"
        ) from error


def _watched(entries: Iterator[Found | Skipped], progress: OnProgress | None) -> Iterator[Found | Skipped]:
    for number, entry in enumerate(entries, start=1):
        if progress is not None and number % 1000 == 0:
            progress(Progress(phase="scan", done=number))
        yield entry


def _embed(
    changes: Changes, store: Growing, models: _Models, counts: _Counts, progress: OnProgress | None
) -> None:
    """Bring every fresh file into the store."""
    rest = _recognise(changes, store, counts, progress)
    handled = len(changes.fresh) - len(rest)
    if not rest:
        store.commit()
        return
    from retrieval.embed import embed

    pending: dict[bytes, Vectors] = {}  # content → vector of rows that are appended but not committed
    committed = time.monotonic()
    for batch in embed(rest, models.encoder, open_image=_read, known=changes.contents.__contains__):
        for file, content, vector in zip(batch.items, batch.contents, batch.vectors, strict=True):
            pending[content] = vector[np.newaxis]
            _append(file, content, vector[np.newaxis], changes, store)
            counts.encoded += 1
        for file, content in batch.reused:
            _reuse(file, content, changes, store, counts, pending)
        for file, error in batch.failed:
            _skip(file, error, store, counts)
        handled += len(batch.items) + len(batch.reused) + len(batch.failed)
        if store.pending >= COMMIT_ROWS or time.monotonic() - committed > COMMIT_SECONDS:
            store.commit()
            pending.clear()
            committed = time.monotonic()
        if progress is not None:
            progress(
                Progress(phase="embed", done=handled, total=len(changes.fresh), skipped=len(counts.skipped))
            )
    store.commit()


def _recognise(changes: Changes, store: Growing, counts: _Counts, progress: OnProgress | None) -> list[Found]:
    """Take in touched, moved and copied files by their content; return the others.

    Only a file whose size some row has can be one, so most new files are not read twice, and a build that only finds such
    files loads no model.
    """
    rest: list[Found] = []
    committed = time.monotonic()
    for number, file in enumerate(changes.fresh, start=1):
        content = _known_content(file, changes)
        if content is None:
            rest.append(file)
        else:
            _reuse(file, content, changes, store, counts, {})
        if store.pending >= COMMIT_ROWS or time.monotonic() - committed > COMMIT_SECONDS:
            store.commit()
            committed = time.monotonic()
        if progress is not None and number % 1000 == 0:
            progress(Progress(phase="compare", done=number, total=len(changes.fresh)))
    return rest


def _known_content(file: Found, changes: Changes) -> bytes | None:
    """Return the file's content hash if a row has the same; ``None`` otherwise."""
    if file.size not in changes.sizes:
        return None
    from retrieval.images import content_hash

    try:
        content = content_hash(_read(file))
    except ImageError:
        return None
    return content if content in changes.contents else None


def _read(file: Found) -> bytes:
    from retrieval.images import read_file

    return read_file(file.path)


def _reuse(
    file: Found,
    content: bytes,
    changes: Changes,
    store: Growing,
    counts: _Counts,
    pending: dict[bytes, Vectors],
) -> None:
    """Take in a file whose content has a vector already: touched, moved or copied."""
    stamp = keys.stamp(size=file.size, mtime_ns=file.mtime_ns)
    old = store.find(file.key)
    if old is not None and store.record(old).content == content:
        store.restamp(old, stamp)
        changes.found.append(file.key)
        counts.reused += 1
        return
    gone = changes.missing_contents.get(content)
    if gone:
        number = changes.missing.pop(gone.pop())
        if old is not None:
            store.remove([old])
        store.rename(number, file.key, stamp)
        changes.found.append(file.key)
        counts.moved += 1
        return
    vector = pending.get(content)
    if vector is None:
        number = changes.contents[content]
        vector = store.rows(number, number + 1).astype(np.float32)
    _append(file, content, vector, changes, store)
    counts.reused += 1


def _append(file: Found, content: bytes, vector: Vectors, changes: Changes, store: Growing) -> None:
    stamp = keys.stamp(size=file.size, mtime_ns=file.mtime_ns)
    (number,) = store.append(vector, [NewRow(key=file.key, content=content, stamp=stamp)])
    changes.contents.setdefault(content, int(number))
    changes.found.append(file.key)


def _skip(file: Found, error: ImageError, store: Growing, counts: _Counts) -> None:
    """List a file that is no readable image; a vector of what it was before will go."""
    stamp = keys.stamp(size=file.size, mtime_ns=file.mtime_ns)
    counts.skipped.append(SkippedFile(key=file.key, reason=error.reason, stamp=stamp, detail=str(error)))
    old = store.find(file.key)
    if old is not None:
        counts.broken.append(old)


def _nothing(images: Path, changes: Changes) -> str:
    if changes.skipped:
        return f"{images}: none of its {len(changes.skipped)} image files can be read ({_reasons(count_reasons(changes.skipped))})"
    return (
        f"{images} holds no images (jpg, png, webp, gif, bmp, tiff, avif, heic); check the path, or --exclude"
    )


def _reasons(by_reason: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in by_reason.items())

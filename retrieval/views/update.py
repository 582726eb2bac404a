"""Bring the views of a collection in line with its images: encode those that are missing, delete those of deleted images."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import derive, publish_tail
from indexes.files import PARTIAL, remove_partials, remove_tree, sync_directory, writing
from indexes.generation import (
    GENERATIONS,
    HAND,
    has_stale_generations,
    read_manifest,
    sweep_generations,
    write_manifest,
)
from indexes.layout import VIEWS
from indexes.store import VectorStore, key_and_stamp
from retrieval.errors import OptionError, RetrievalError, StoreCorrupt
from retrieval.progress import telling
from retrieval.views.encoding import Missing, ViewEncoding, missing_views
from retrieval.views.image_table import ImageTable
from retrieval.views.view_rows import CONTENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import WriterLock
    from indexes.vectors import Space, Vectors
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsReport:
    """What a build did to the views.

    Attributes:
        per_image: how many an image has at most.
        count: how many there are.
        encoded: how many were encoded.
        failed: images that could not be read for their views.
        covered: rows below this one have theirs, or cannot have any.
    """

    per_image: int
    count: int
    encoded: int
    failed: int
    covered: int

    def to_json(self) -> dict[str, int]:
        """Return what the report of a build says."""
        return {
            "per_image": self.per_image,
            "count": self.count,
            "encoded": self.encoded,
            "failed": self.failed,
        }


class ViewsUpdate:
    """The views of one build, open for writing.

    Args:
        directory: the collection's.
        store: of the images; every change is committed.
        views: theirs.
        missing: images without views.
        number: views of an image.
        table: what is published of them; None where nobody knows.
        is_new: there may be views of another number, too.
        is_settled: no image came or went since they were published.
    """

    def __init__(
        self,
        directory: Path,
        store: VectorStore,
        views: VectorStore,
        missing: Missing,
        number: int,
        *,
        table: ImageTable | None,
        is_new: bool,
        is_settled: bool,
    ) -> None:
        self._table, self._is_new, self._settled = table, is_new, is_settled
        self._directory, self._store, self._views = directory, store, views
        self._missing, self._number = missing, number

    @property
    def is_long(self) -> bool:
        """Say whether images have to be encoded, so that what else a build has done should be published before."""
        return bool(self._missing.rows)

    def run(
        self,
        sources: Mapping[int, Source],
        encoder: Callable[[], Encoder],
        *,
        lock: WriterLock,
        name: str | None,
        learn: Callable[..., Any],
        phrases: Callable[[], Mapping[str, Vectors]],
        device: str,
        max_pixels: int | None,
        progress: OnProgress | None,
    ) -> ViewsReport:
        """Encode what is missing, delete what has no image any more, and publish.

        Args:
            sources: what rows are read from, by number.
            encoder: called if something must be encoded.
            lock: held.
            name: the encoder's, for the manifest.
            learn, device: as `indexes.derivation.derive` has them.
            phrases: sets of queries that the index is tuned for.
            max_pixels: as `retrieval.sources.decoding.decoder.decode` has it.
            progress: called now and then.
        """
        home, store, views = self._directory / VIEWS, self._store, self._views
        manifest = read_manifest(self._directory)
        encoded, failed = 0, list[int]()
        if self._missing.rows:
            work = ViewEncoding(
                store,
                views,
                self._number,
                sources,
                encoder(),
                max_pixels=max_pixels,
                progress=progress,
            )
            try:
                work.run(self._missing.rows)
            except BaseException:
                with suppress(RetrievalError, OSError):  # the first error matters more
                    views.commit()
                    lock.check()
                    publish_tail(home, views, space=manifest.space, encoder=name)
                raise
            encoded, failed = work.encoded, work.failed
        if not self._settled:
            self._delete_stale()
        lock.check()
        asked: dict[str, Any] = {}
        if manifest.request is not None:
            asked = {
                "kind": manifest.request.kind,
                "dim": manifest.request.dim,
                "recall": manifest.request.recall,
            }
        derive(
            home,
            views,
            space=manifest.space,
            encoder=name,
            learn=learn,
            extra_queries=phrases,
            device=device,
            progress=telling(progress),
            **asked,
        )
        without = [*failed[:1], *([] if self._missing.unasked is None else [self._missing.unasked])]
        return ViewsReport(
            per_image=self._number,
            count=views.live,
            encoded=encoded,
            failed=len(failed),
            covered=min(without, default=store.count),
        )

    def _delete_stale(self) -> None:
        """Delete the views of images that are there no more, and of another number of views."""
        store, views = self._store, self._views
        images = ImageTable.of(store, views, generation=0, covered=0, before=self._table).images
        stale = (images < 0) & ~views.tombstones()
        if self._is_new:
            for ids, records in views.packed():
                numbers = [key_and_stamp(data)[0][CONTENT_BYTES] for data in records]
                stale[ids] |= np.array(numbers, dtype=np.int64) != self._number
        views.remove(np.flatnonzero(stale))
        views.commit()


@contextmanager
def updating_views(
    directory: Path,
    store: VectorStore,
    number: int,
    *,
    space: Space,
    name: str | None,
    asked: frozenset[int],
    lock: WriterLock,
    is_new: bool,
) -> Iterator[ViewsUpdate]:
    """Open the views of a collection, made where there are none, and find out what a build has to do to them.

    Args:
        directory: the collection's, which is published.
        store: of the images; every change is committed.
        number: how many views an image shall have.
        space: of both.
        name: of their encoder.
        asked: numbers of the sources that images can be read from.
        lock: held.
        is_new: another number was asked for before.
    Raises:
        StoreCorrupt: the store of the views is damaged.
    """
    home = directory / VIEWS
    manifest = read_manifest(directory)
    with _opened(home, space, name, lock) as views:
        table = _table(directory, manifest)
        by_hand = frozenset(source.number for source in manifest.sources if source.type == HAND)
        start = 0 if table is None or is_new else table.covered
        there = (manifest.count, manifest.live, views.count)
        settled = (
            table is not None
            and start == store.count
            and there
            == (
                store.count,
                store.live,
                len(table.images),
            )
        )
        missing = Missing(rows=[])
        if not settled:
            missing = missing_views(store, views, number, asked=asked, by_hand=by_hand, start=start)
        yield ViewsUpdate(
            directory, store, views, missing, number, table=table, is_new=is_new, is_settled=settled
        )


@contextmanager
def _opened(home: Path, space: Space, name: str | None, lock: WriterLock) -> Iterator[VectorStore]:
    with suppress(FileNotFoundError):
        if not read_manifest(home).space.same_as(space):  # of an encoder before
            _remove(home)
    for place in (home, home / GENERATIONS):
        remove_partials(place)
    if not VectorStore.exists(home):
        VectorStore.create(home, dim=space.dim, lock=lock).close()
    try:
        views = VectorStore.open(home, dim=space.dim, writable=True, lock=lock)
    except StoreCorrupt as error:
        raise StoreCorrupt(
            f"{error}. Only views are lost: move {home} away and run `build_index`, which encodes them again"
        ) from error
    with views:
        try:
            manifest = read_manifest(home)
            if has_stale_generations(home, manifest):  # of a process that was killed right after it published
                sync_directory(home)
                sweep_generations(home, manifest)
        except FileNotFoundError:
            publish_tail(home, views, space=space, encoder=name)
        yield views


def _table(directory: Path, manifest: Manifest) -> ImageTable | None:
    """Return what is published of the views; None where it is damaged, or the folder with them was deleted."""
    try:
        table = ImageTable.read(directory, manifest)
        views = read_manifest(directory / VIEWS)
    except (StoreCorrupt, FileNotFoundError):
        return None
    return table if table is not None and views.generation >= table.generation else None


def record_views(directory: Path, number: int) -> None:
    """Let the manifest say how many views an image shall have; the caller holds the lock.

    A build that is interrupted then continues with as many.
    """
    manifest = read_manifest(directory)
    if manifest.views != number:
        write_manifest(directory, replace(manifest, views=number))


def drop_views(directory: Path) -> None:
    """Remove all views, once no manifest names them; the caller holds the lock. Readers that have them open go on."""
    _remove(directory / VIEWS)


def _remove(home: Path) -> None:
    doomed = home.with_name(f"{PARTIAL}{home.name}")
    remove_tree(doomed)  # which a killed process left
    if home.exists():
        with writing(home):
            home.rename(doomed)  # first: half removed ones are never seen
        remove_tree(doomed)


def refuse_views(directory: Path, manifest: Manifest, *, what: str) -> None:
    """Refuse what cannot be done to a collection with views.

    Args:
        directory: the collection's.
        manifest: its manifest.
        what: the change, such as "an upgrade"; the message begins with it.
    Raises:
        OptionError: it has some.
    """
    if manifest.views:
        raise OptionError(
            f"{what} would leave the views of {directory} in the space of the other encoder: it keeps {manifest.views} of each "
            f"image. Nothing was changed. Drop them with `build_index(views=0)`, and ask for them again afterwards"
        )

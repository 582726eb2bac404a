"""Encode the views of images and store them, each image's whole or not at all."""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from indexes.store import CommitPace
from retrieval.display import duration
from retrieval.errors import ImageError
from retrieval.progress import Progress
from retrieval.views.layout import smallest_side, windows
from retrieval.views.pictures import Part, ViewedPicture
from retrieval.views.view_rows import new_view, view_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from indexes.store import Record, VectorStore
    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.sources import Source
    from retrieval.views.layout import Box

RECORD_BYTES = 350
"""Bytes that the store keeps of a view besides its vector, about."""

_AT_ONCE = 4096  # records read at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Rows whose images have no views yet, one for each content.

    Attributes:
        rows: their ids, ascending.
        unasked: the first row without views whose source is not asked; None where there is none.
    """

    rows: list[int]
    unasked: int | None = None


def missing_views(
    store: VectorStore,
    views: VectorStore,
    number: int,
    *,
    asked: frozenset[int],
    by_hand: frozenset[int],
    start: int,
) -> Missing:
    """Find the images without views.

    Args:
        store: of the images.
        views: of their views.
        number: how many views an image shall have.
        asked: numbers of the sources that images can be read from.
        by_hand: numbers of sources whose rows get no views.
        start: rows below have theirs.
    """
    rows: list[int] = []
    unasked: int | None = None
    seen: set[bytes] = set()
    live = np.flatnonzero(~store.tombstones())
    live = live[live >= start]
    for place in range(0, len(live), _AT_ONCE):
        some = [record for record in store.records(live[place : place + _AT_ONCE]) if record.content]
        keys = [view_key(record.content, number, 0) for record in some]
        for record, found in zip(some, views.find_records(keys), strict=True):
            if found is not None or record.content in seen or record.source in by_hand:
                continue
            if record.source in asked:
                rows.append(record.id)
                seen.add(record.content)
            elif unasked is None:
                unasked = record.id
    return Missing(rows=rows, unasked=unasked)


@dataclass(slots=True)
class _Parts:
    """What has come back of one picture's views."""

    left: int
    encoded: list[tuple[Box, Vectors]] = field(default_factory=list)


class ViewEncoding:
    """The views of some images on their way into the store.

    Args:
        store: of the images.
        views: open for writing.
        number: views of an image.
        sources: what rows are read from, by the number that their records name.
        encoder: of the views.
        max_pixels: as `retrieval.sources.decoding.decoder.decode` has it; None for its default.
        progress: called now and then.
    Attributes:
        encoded: views that were stored.
        failed: rows whose image could not be read, or is another one by now.
    """

    encoded: int
    failed: list[int]

    def __init__(
        self,
        store: VectorStore,
        views: VectorStore,
        number: int,
        sources: Mapping[int, Source],
        encoder: Encoder,
        *,
        max_pixels: int | None,
        progress: OnProgress | None,
    ) -> None:
        self.encoded, self.failed = 0, []
        self._store, self._views, self._number, self._sources = store, views, number, sources
        self._encoder, self._most, self._progress = encoder, max_pixels, progress
        self._boxes = windows(number)
        size = getattr(encoder, "decode_size", None)
        self._side = None if size is None else round(size / smallest_side(number))

    def run(self, rows: list[int]) -> None:
        """Encode the views of some rows' images, and commit now and then."""
        from retrieval.embedding import embed

        pace, done = CommitPace(self._views), 0
        waiting: dict[int, _Parts] = {}
        self._announce(rows)
        parts = embed(self._parts(rows), self._encoder, open_image=Part.read, name_of=_name)
        with closing(parts) as batches:
            for batch in batches:
                for part, vector in zip(batch.items, batch.vectors, strict=True):
                    done += self._take(part, vector, waiting)
                for part, _ in batch.failed:
                    done += self._take(part, None, waiting)
                pace.commit_if_due()
                if self._progress is not None:
                    self._progress(
                        Progress(phase="parts", done=done, total=len(rows), skipped=len(self.failed))
                    )
        pace.commit()

    def _take(self, part: Part, vector: Vectors | None, waiting: dict[int, _Parts]) -> bool:
        """Keep one view, and store all of its picture once they are there; say whether they are."""
        record = part.picture.record
        parts = waiting.setdefault(record.id, _Parts(len(self._boxes)))
        parts.left -= 1
        if vector is not None:
            parts.encoded.append((part.box, vector))
        if parts.left:
            return False
        del waiting[record.id]
        if not parts.encoded:
            self.failed.append(record.id)
            return True
        views = [
            new_view(record.content, self._number, place, box) for place, (box, _) in enumerate(parts.encoded)
        ]
        self._views.append(np.stack([row for _, row in parts.encoded]), views)
        self.encoded += len(views)
        return True

    def _pictures(self, rows: list[int]) -> Iterator[ViewedPicture]:
        for start in range(0, len(rows), _AT_ONCE):
            for record in self._store.records(rows[start : start + _AT_ONCE]):
                yield self._picture(record)

    def _picture(self, record: Record) -> ViewedPicture:
        return ViewedPicture(
            record,
            self._sources[record.source],
            parts=len(self._boxes),
            side=self._side,
            max_pixels=self._most,
        )

    def _parts(self, rows: list[int]) -> Iterator[Part]:
        for picture in self._pictures(rows):
            for number, box in enumerate(self._boxes):
                yield Part(picture, number, box)

    def _announce(self, rows: list[int]) -> None:
        """Tell what the views will take, by the time that the first picture takes."""
        if self._progress is None:
            return
        views = len(rows) * len(self._boxes)
        size = views * (4 * self._encoder.space.dim + RECORD_BYTES)
        took = self._seconds(rows)
        words = "" if took is None else f" and {duration(took * len(rows))}"
        message = (
            f"views: {len(self._boxes)} of each of {len(rows):,} images, about {size / 1e6:,.1f} MB{words}"
        )
        self._progress(Progress(phase="parts", total=len(rows), message=message))

    def _seconds(self, rows: list[int]) -> float | None:
        """Return how long one picture takes; None where the first ones cannot be read."""
        for record in self._store.records(rows[:5]):
            with suppress(ImageError):
                for _ in range(2):  # what a model does at its first batch is no measure
                    picture = self._picture(record)
                    began = time.perf_counter()
                    pixels = [self._encoder.preprocess(picture.cut(box)) for box in self._boxes]
                    self._encoder.encode_pixels(np.stack(pixels))
                return time.perf_counter() - began
        return None


def _name(part: Part) -> str:
    return f"a view of {os.fsdecode(part.picture.record.key)}"

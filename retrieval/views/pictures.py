"""Decode each picture once for all of its views."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple

from retrieval.errors import ImageError
from retrieval.sources.decoding import MAX_PIXELS, content_hash, decode
from retrieval.sources.media import same_content
from retrieval.views.layout import cut

if TYPE_CHECKING:
    from PIL.Image import Image

    from indexes.store import Record
    from retrieval.sources import Source
    from retrieval.views.layout import Box


class Part(NamedTuple):
    """One view that is to be encoded."""

    picture: ViewedPicture
    number: int
    box: Box

    def read(self) -> Image:
        """Return its pixels; called from several threads, once a part."""
        return self.picture.cut(self.box)


class ViewedPicture:
    """A picture whose parts several threads ask for; it is decoded for the first one and let go with the last one.

    Args:
        record: of a row that shows it.
        source: what it is read from.
        parts: how many parts are asked for, each once.
        side: pixels that its short side keeps at least; None for all.
        max_pixels: as `retrieval.sources.decoding.decoder.decode` has it; None for its default.
    """

    def __init__(
        self, record: Record, source: Source, *, parts: int, side: int | None, max_pixels: int | None = None
    ) -> None:
        self.record = record
        self._source, self._left, self._side = source, parts, side
        self._most = max_pixels or MAX_PIXELS
        self._lock = threading.Lock()
        self._outcome: Image | ImageError | None = None

    def cut(self, box: Box) -> Image:
        """Return a part of it.

        Raises:
            ImageError: it cannot be read, or is another picture by now (``changed``).
        """
        with self._lock:
            outcome = self._outcome
            if outcome is None:
                outcome = self._outcome = self._read()
            self._left -= 1
            if not self._left:
                self._outcome = None
        if isinstance(outcome, ImageError):  # one for each part, as each is raised in a thread of its own
            raise ImageError(str(outcome), reason=outcome.reason, what=outcome.what)
        return cut(outcome, box)

    def _read(self) -> Image | ImageError:
        try:
            return self._decoded()
        except ImageError as error:
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    def _decoded(self) -> Image:
        data = self._source.read(self.record, max_pixels=self._most)
        if same_content(self.record.key, self.record.content, content_hash(data)) is None:
            what = "has changed since it was indexed; the next build takes it in"
            raise ImageError(f"{self.record.key!r} {what}", reason="changed", what=what)
        image = decode(data, decode_size=self._side, max_pixels=self._most, name=os.fsdecode(self.record.key))
        if self._side is not None and min(image.size) > 2 * self._side:  # held while its parts are encoded
            image = image.reduce(min(image.size) // self._side)
        return image

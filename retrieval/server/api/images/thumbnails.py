"""Make thumbnails and keep the last ones in memory, within a bound."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from retrieval.display import small_jpeg
from retrieval.server.api.images.pictures import picture_bytes

if TYPE_CHECKING:
    from retrieval.collection import Row
    from retrieval.server import Limits, Served

SIZES: Final = (64, 128, 256, 512, 1024)
"""Pixels of the longer side; few, so that what is kept is asked for again."""

LARGEST: Final = SIZES[-1]


def nearest_size(size: int) -> int:
    """Return the least size that is made and not smaller; the largest if there is none."""
    return next((one for one in SIZES if one >= size), LARGEST)


def entity_tag(served: Served, row: Row, what: str) -> str:
    """Return what changes with a picture: a text in quotes."""
    content = row.content or f"{served.mark} {row.id} {row.key}".encode("utf-8", "surrogateescape")
    return f'"{blake2b(content + what.encode(), digest_size=12).hexdigest()}"'


class Thumbnails:
    """Thumbnails that were made last, by what they show; used in the thread of the event loop."""

    def __init__(self, limits: Limits) -> None:
        self._most, self._pixels = limits.cached_bytes, limits.pixels
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, tag: str) -> bytes | None:
        """Return a thumbnail that is kept."""
        found = self._kept.get(tag)
        if found is not None:
            self._kept.move_to_end(tag)
        return found

    def keep(self, tag: str, data: bytes) -> None:
        """Keep a thumbnail; those that nobody asked for longest go."""
        if tag in self._kept or len(data) > self._most:
            return
        self._kept[tag] = data
        self._bytes += len(data)
        while self._bytes > self._most:
            self._bytes -= len(self._kept.popitem(last=False)[1])

    def make(self, served: Served, row: Row, size: int) -> bytes:
        """Read an image and make its thumbnail, in whatever thread: an upright JPEG.

        Raises:
            ImageError: it cannot be read.
        """
        data = picture_bytes(served, row)
        return small_jpeg(data, size=(size, size), max_pixels=self._pixels)[0]

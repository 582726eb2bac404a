"""Say where the image of a row comes from: enough to link to it and to read it again, without its collection."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from indexes.generation import FOLDER, HAND
from indexes.store import Record
from retrieval.sources import keys
from retrieval.sources.media import split_path

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.collection import Collection, Opened
    from retrieval.sources import Source


class Origin(NamedTuple):
    """Where a row comes from that lies in another source than the collection's first folder; it pickles.

    Attributes:
        directory: the collection's.
        root: the images' folder, if it is not where the collection recorded it.
        record: the row's.
        version: of the manifest.
    """

    directory: str
    root: str
    record: Record
    version: tuple[int, int]

    @property
    def source(self) -> Source:
        """What reads it."""
        return _opened(self.directory, self.root, self.version)

    def link(self) -> str:
        """Return what a person can open: a path or an address."""
        source: Any = self.source
        one = source.of(self.record.source) if hasattr(source, "of") else source
        return str(one.link(self.record.key))

    def read(self) -> bytes:
        """Return the image's bytes; raises as `retrieval.sources.Source.read` does."""
        return self.source.read(self.record)

    def open(self) -> Image.Image:
        """Read the image: upright, RGB; raises as `read` does."""
        from retrieval.sources.decoding import decode

        return decode(self.read(), name=self.link())


class RowImage:
    """The image of a row, read from wherever it comes: what hits, rows and duplicates have in common."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _origin(self) -> Origin | None: ...

        @property
        def link(self) -> str:
            """What a person can open: a path or an address."""

    @property
    def origin(self) -> Origin | None:
        """Where the image is read from, if not from a file of the collection's first folder; None otherwise."""
        return self._origin

    @property
    def file(self) -> Path:
        """The absolute path, of the film or document where it is a picture of one; a row of a vector may have no file there."""
        part = split_path(self.link)
        return Path(self.link if part is None else part[0])

    def read_bytes(self) -> bytes:
        """Return the image's bytes, from whatever source it comes; raises as `open` does."""
        from retrieval.sources.media import read_path

        return read_path(self.link) if self._origin is None else self._origin.read()

    def open(self) -> Image.Image:
        """Read the image: upright, RGB.

        Raises:
            ImageError: there is no file, or it cannot be read; `reason` says which in a word.
        """
        from retrieval.sources.media import decode_path

        return decode_path(self.link) if self._origin is None else self._origin.open()


def origin_of(opened: Opened | Collection, record: Record, *, root: str) -> Origin | None:
    """Return where a row comes from; None for a file of the collection's first folder, and for a row by hand."""
    manifest = opened.manifest
    if len(manifest.sources) == 1 and manifest.sources[0].type == FOLDER:  # nearly always
        return None
    own = next((source for source in manifest.sources if source.number == record.source), None)
    if own is None or own.type == HAND or own is manifest.folder:
        return None
    return Origin(os.path.abspath(opened.directory), root, record, manifest.version)


def link_of(key: str | bytes, origin: Origin | None, *, root: str) -> str:
    """Return what a person can open of a row: a path or an address.

    Args:
        key: the row's.
        origin: what `origin_of` returned of it.
        root: the collection's first folder.
    """
    return keys.path_of(key, root) if origin is None else origin.link()


@lru_cache(maxsize=8)
def _opened(directory: str, root: str, version: tuple[int, int]) -> Source:  # noqa: ARG001 - another one after a build
    """Open the sources of a collection once for many hits."""
    from indexes.generation import read_whole_manifest
    from retrieval.sources import open_source

    return open_source(Path(directory), read_whole_manifest(directory), root=root)

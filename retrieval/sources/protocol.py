"""Define the `Source` protocol, and open the source that a manifest names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.errors import OptionError
from retrieval.location import resolve_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from indexes.generation import Manifest
    from retrieval.sources.folder_walk import Seen, Skipped

__all__ = ["Entry", "Listed", "Source", "open_source"]


class Entry(Protocol):
    """One image of a source, not read yet. A stored record is one, too.

    Attributes:
        key: names the image in the source, the same in every build.
        stamp: at most 64 bytes that differ once the image has changed; the first eight are its size in bytes, little-endian.
    """

    @property
    def key(self) -> bytes:
        """The key."""

    @property
    def stamp(self) -> bytes:
        """The stamp."""


class Listed(Entry, Protocol):
    """An entry as a source lists it.

    Attributes:
        claimed: its name says that it is an image; otherwise `Source.look` tells.
    """

    @property
    def claimed(self) -> bool:
        """Whether it is."""


class Source(Protocol):
    """Where images come from. All that a collection knows of the world outside goes through this.

    Attributes:
        name: what messages call it, such as a folder's path.
        type: the word that the manifest has for its kind.
        options: JSON values that the manifest keeps, so that the next build asks the same question.
    """

    name: str

    @property
    def type(self) -> str:
        """The word."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options."""

    def entries(self, seen: Seen) -> Iterator[Listed | Skipped]:
        """Yield all that is or may be an image, in a fixed order, reading none.

        Args:
            seen: gets what is met besides.
        Raises:
            OptionError: the source cannot be listed.
        """

    def look(self, entry: Any) -> Listed | Skipped | None:
        """Say by its first bytes what an entry is that does not claim to be an image: one, one that is not read, or None."""

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Return an image's bytes; safe to call from several threads.

        Args:
            entry: the image.
            max_pixels: as `retrieval.sources.decoding.decoder.read_file` has it; None for its default.
        Raises:
            ImageError: it is not there, or cannot be read.
        """

    def holds(self, key: bytes) -> bool:
        """Say whether there is something to read under a key."""

    def link(self, key: bytes) -> str:
        """Return what a person can open: a path or an address."""

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the entry that a path of the user's file system names, as it is now; None if the source does not hold it."""

    def changed(self, directory: Path) -> bool:
        """Say cheaply whether images came or went since the build of the collection in ``directory``."""


def open_source(directory: Path, manifest: Manifest, *, root: str | os.PathLike[str] | None = None) -> Source:
    """Open the source that a manifest names.

    Args:
        directory: the collection's.
        manifest: its manifest.
        root: the images' folder, if it is not where the manifest says.
    Raises:
        OptionError: a kind of source that this version does not know.
    """
    from retrieval.sources.folder import FolderSource
    from retrieval.sources.folder_options import FolderOptions

    source = manifest.folder or manifest.sources[0]
    if source.type != FolderSource.type:
        raise OptionError(
            f"{directory}: its images come from a source of the kind {source.type}, which this version cannot read; "
            f"install a newer one"
        )
    home = resolve_root(directory, manifest.root, given=root)
    return FolderSource(home, FolderOptions.of(manifest))

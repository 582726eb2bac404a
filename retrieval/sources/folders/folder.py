"""A folder of images as a source: keys are paths relative to its root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from retrieval.errors import OptionError
from retrieval.location import require_folder
from retrieval.sources import keys
from retrieval.sources.folders.folder_options import FolderOptions
from retrieval.sources.folders.folder_walk import look, walk_files
from retrieval.sources.folders.listing import Found, Seen, Skipped, SourceEntry
from retrieval.sources.media import split_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from retrieval.sources import Entry


class FolderSource:
    """A folder.

    Args:
        root: the folder that keys are relative to.
        taken: what is taken of it.
        below: key of the part that is walked, with a slash at its end; all of it by default.
    """

    root: Path
    taken: FolderOptions
    below: bytes
    name: str

    type: ClassVar[str] = "folder"
    takes: ClassVar[frozenset[str]] = frozenset({"exclude", "include", "follow_links", "every", "pages"})

    def __init__(self, root: Path, taken: FolderOptions, *, below: bytes = b"") -> None:
        self.root, self.taken, self.below = root, taken, below
        self.name = os.fspath(root)

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say whether it is the path of a folder."""
        return os.path.isdir(text)

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> Self:
        """Open a folder."""
        return cls(require_folder(text), FolderOptions.from_json(options))

    @property
    def spec(self) -> str:
        """The absolute path."""
        return self.name

    @property
    def options(self) -> Mapping[str, Any]:
        """What the manifest keeps."""
        return self.taken.to_json()

    def entries(self, seen: Seen) -> Iterator[Found | Skipped]:
        """Walk the folder, or the part of it."""
        folder = self.link(self.below.rstrip(b"/")) if self.below else self.name
        try:
            yield from walk_files(
                folder,
                exclude=self.taken.exclude,
                include=self.taken.include,
                follow_links=self.taken.follow_links,
                below=self.below,
                seen=seen,
            )
        except OSError as error:
            raise OptionError(
                f"{folder} cannot be listed ({error.strerror}); check its permissions, or mount its drive"
            ) from error

    def look(self, entry: Found) -> Found | Skipped | None:
        """Open a file for its first bytes."""
        return look(entry)

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Read a file, once; or one picture of a film or document."""
        from retrieval.sources.decoding import MAX_PIXELS, read_file
        from retrieval.sources.media import part_bytes

        path, most = self.link(entry.key), max_pixels or MAX_PIXELS
        part = self._part(entry.key)
        if part is None:
            return read_file(path, max_pixels=most)
        return part_bytes(self.link(part[0]), part[1], max_pixels=most, name=path)

    def open(self, entry: Entry) -> BinaryIO:
        """Open a file."""
        from retrieval.sources.media import open_regular

        return open_regular(self.link(entry.key))

    def read_head(self, entry: Entry, size: int) -> bytes:
        """Read the first bytes of a file, as many as there are.

        Raises:
            ImageError: as `read` does.
        """
        from retrieval.sources.decoding import read_file_head

        return read_file_head(self.link(entry.key), size)

    def holds(self, key: bytes) -> bool:
        """Say whether there is a regular file, or one that a picture is a part of."""
        part = self._part(key)
        return os.path.isfile(self.link(key if part is None else part[0]))

    def _part(self, key: bytes) -> tuple[bytes, str] | None:
        """Return the film or document of a picture, and the part; None for a file of its own, even one of such a name."""
        part = split_key(key)
        return None if part is None or os.path.isfile(self.link(key)) else part

    def link(self, key: bytes) -> str:
        """Return the path of a file; bytes that are not UTF-8 are surrogate-escaped."""
        return os.path.join(self.name, os.fsdecode(key))

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the file below the folder that a path names."""
        key = keys.key_of(path, self.root)
        if key is None:
            return None
        part = self._part(key)
        if part is None:
            return SourceEntry(key, keys.stamp_of(path))
        stamp = keys.stamp_of(self.link(part[0]))
        return SourceEntry(key, self.taken.media.stamp(stamp))

    def changed(self, memory: Path) -> bool:
        """Ask the folders' own modification times, and list those that have changed."""
        from retrieval.sources.folders.folder_memory import changed_since

        return changed_since(memory, self.root, self.taken)

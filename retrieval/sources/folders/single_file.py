"""A single image, film or document as a source; its key is its name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from retrieval.errors import OptionError
from retrieval.sources import file_marks, keys
from retrieval.sources.folders.folder import FolderSource
from retrieval.sources.folders.folder_options import FolderOptions
from retrieval.sources.folders.listing import (
    FORMATS,
    RAW_SUFFIXES,
    UNSUPPORTED,
    UNSUPPORTED_FORMAT,
    Skipped,
    SourceEntry,
    has_image_suffix,
    suffix_of,
)
from retrieval.sources.media import DOCUMENT_SUFFIXES, FILM_SUFFIXES, split_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from retrieval.sources import Entry
    from retrieval.sources.folders.listing import Found, Seen

_SEVERAL = {**dict.fromkeys(FILM_SUFFIXES, "every"), **dict.fromkeys(DOCUMENT_SUFFIXES, "pages")}
"""Suffixes of files that hold several pictures, and the option that takes these."""


class SingleFile:
    """One file on this machine. It is read as the folder does in which it lies.

    Args:
        path: absolute.
        options: ``every`` and ``pages``, as `retrieval.sources.media.MediaOptions` has it.
    """

    type: ClassVar[str] = "file"
    takes: ClassVar[frozenset[str]] = frozenset({"every", "pages"})
    name: str
    memory: Path | None = None

    def __init__(self, path: str, options: Mapping[str, Any]) -> None:
        self.spec = self.name = path
        self._folder = FolderSource(Path(path).parent, FolderOptions.from_json(options))
        self._key = os.fsencode(os.path.basename(path))

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say whether it ends as the names of images, films and documents do."""
        suffix = suffix_of(os.path.basename(text))
        is_file = has_image_suffix(text) or suffix in RAW_SUFFIXES or suffix in _SEVERAL
        return is_file and "://" not in text and not os.path.isdir(text)

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> Self:
        """Name a file; it is not opened yet."""
        return cls(text, options)

    @property
    def options(self) -> Mapping[str, Any]:
        """What the manifest keeps."""
        return self._folder.options

    def entries(self, seen: Seen) -> Iterator[SourceEntry | Skipped]:  # noqa: ARG002 -- there is nothing else
        """Yield the file.

        Raises:
            OptionError: it is not there; or it is a film or document, and nobody said that its pictures are taken.
        """
        status = self._status()
        suffix = suffix_of(os.path.basename(self.name))
        option = _SEVERAL.get(suffix)
        if option is not None and not self._folder.taken.media.takes(self._key):
            raise OptionError(f"{self.name} holds several pictures; `{option}` takes them in")
        if suffix in UNSUPPORTED:
            what = f"{suffix} is not read; convert it ({FORMATS})"
            yield Skipped(key=self._key, reason=UNSUPPORTED_FORMAT, detail=what)
            return
        stamp = keys.stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)
        yield SourceEntry(self._key, stamp)
        if self.memory is not None:
            file_marks.keep(self.memory, {self.name: stamp})

    def _status(self) -> os.stat_result:
        try:
            status = os.stat(self.name)
        except FileNotFoundError as error:
            raise OptionError(f"{self.name} does not exist; check the path, or mount its drive") from error
        except OSError as error:
            raise OptionError(
                f"{self.name} cannot be read ({error.strerror}); check its permissions"
            ) from error
        if not stat.S_ISREG(status.st_mode):
            raise OptionError(f"{self.name} is not a regular file; name an image file")
        return status

    def look(self, entry: Found) -> Found | Skipped | None:
        """Take it for an image: whoever named it says so."""
        return entry

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Read the file; or one picture of a film or document."""
        return self._folder.read(entry, max_pixels=max_pixels)

    def open(self, entry: Entry) -> BinaryIO:
        """Open the file."""
        return self._folder.open(entry)

    def read_head(self, entry: Entry, size: int) -> bytes:
        """Read its first bytes, as many as there are."""
        return self._folder.read_head(entry, size)

    def holds(self, key: bytes) -> bool:
        """Say whether it is the file's key, or a picture's in it, and the file is there."""
        return self._is_own(key) and self._folder.holds(key)

    def link(self, key: bytes) -> str:
        """Return the path of the file; of a picture in it with the moment or page."""
        return self._folder.link(key)

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the file, or a picture in it, that a path names."""
        found = self._folder.find(path)
        return found if found is not None and self._is_own(found.key) else None

    def changed(self, memory: Path) -> bool:
        """Compare size and time with those at the last build."""
        return not file_marks.same(memory, {self.name: keys.stamp_of(self.name)})

    def _is_own(self, key: bytes) -> bool:
        part = split_key(key)
        return self._key in {key, None if part is None else part[0]}

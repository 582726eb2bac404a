"""Read tar files where they lie: on this machine, or at URLs."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, Protocol

from retrieval.errors import ImageError, OptionError
from retrieval.sources import keys
from retrieval.sources.tar.packed_stream import DAMAGED
from retrieval.sources.tar.shard_names import expand_braces, find_shards, fixed_part, has_stars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.sources.remote import RemoteFiles


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it is now.

    Attributes:
        size: in bytes.
        stamp: what differs once it has changed.
    """

    size: int
    stamp: bytes


class ArchiveFiles(Protocol):
    """Files that can be read in parts. All calls are safe from several threads.

    What cannot be had raises `OSError` or `ImageError`.
    """

    def find(self, text: str) -> Sequence[str]:
        """Return the paths of the files that a text with braces and stars names."""

    def state(self, path: str) -> FileState:
        """Return how a file is now."""

    def open(self, path: str) -> IO[bytes]:
        """Open a file, to be read from its beginning and sought in."""

    def read(self, path: str, start: int, size: int, *, state: FileState) -> bytes:
        """Return a part of a file, if that is still as ``state`` says."""


class LocalArchives:
    """Files on this machine."""

    def find(self, text: str) -> Sequence[str]:
        """Return the files that exist, and those without stars that do not."""
        return find_shards(text)

    def state(self, path: str) -> FileState:
        """Return size, and size and time of the last modification."""
        return _state(os.stat(path))

    def open(self, path: str) -> IO[bytes]:
        """Open a regular file."""
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise OSError(0, "is not a regular file")
        return open(path, "rb")

    def read(self, path: str, start: int, size: int, *, state: FileState) -> bytes:
        """Read a part at its place."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if _state(os.fstat(descriptor)) != state:
                raise changed_error(path)
            parts = []
            while size > 0:
                part = os.pread(descriptor, size, start)
                if not part:
                    raise changed_error(path)
                parts.append(part)
                start, size = start + len(part), size - len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(descriptor)


class RemoteArchives:
    """Files at URLs.

    Args:
        allow_private: HTTP may reach addresses of private networks.
    """

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private

    @cached_property
    def _files(self) -> RemoteFiles:
        from retrieval.sources.remote import RemoteFiles

        return RemoteFiles(allow_private=self._allow_private)

    def find(self, text: str) -> Sequence[str]:
        """Return the URLs that braces and stars stand for; for stars the store is asked what it has.

        Raises:
            OptionError: it does not say.
        """
        found: list[str] = []
        for url in expand_braces(text):
            found += self._matching(url) if has_stars(url) else [url]
        return list(dict.fromkeys(found))

    def _matching(self, url: str) -> list[str]:
        path, question, query = url.partition("?")
        folder = fixed_part(path)
        wanted = path[len(folder) + 1 :]
        pattern = keys.glob_pattern("/" + wanted)
        deepest = None if "**" in wanted else wanted.count("/")
        try:
            listed = self._files.walk(f"{folder}/{question}{query}", deepest=deepest)
            names = sorted(file.path for file in listed if pattern.match("/" + file.path))
        except ImageError as error:
            cure = "count with braces, as in {000..099}, if it lists nothing"
            raise OptionError(f"{error}; {cure}") from error
        return [f"{folder}/{name}{question}{query}" for name in names]

    def state(self, path: str) -> FileState:
        """Ask the store."""
        found = self._files.status(path)
        return FileState(found.size, found.stamp)

    def open(self, path: str) -> IO[bytes]:
        """Open a file whose parts are requests."""
        return self._files.open(path)

    def read(self, path: str, start: int, size: int, *, state: FileState) -> bytes:
        """Read a part by one request; whether the file has changed is not asked each time."""
        del state
        return self._files.read_range(path, start, start + size) if size else b""


def archives_of(text: str, options: Any) -> ArchiveFiles:
    """Return what reads the files that a text names."""
    if "://" in text:
        return RemoteArchives(allow_private=bool(options.get("allow_private", False)))
    return LocalArchives()


def changed_error(path: str) -> ImageError:
    """Return the error for a file that is not what was listed; nobody knows what it holds now."""
    what = "has changed since it was listed; build again"
    return ImageError(f"{path}: {what}", reason="read-error", what=what)


def words(error: BaseException) -> str:
    """Say on one line what an error says."""
    if isinstance(error, zlib.error | gzip.BadGzipFile) or "readinto()" in str(error):
        return DAMAGED
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _state(status: os.stat_result) -> FileState:
    stamp = keys.stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)
    return FileState(status.st_size, stamp)

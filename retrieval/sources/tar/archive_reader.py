"""List archives and read parts of them, plain or gzipped, with what is remembered of each."""

from __future__ import annotations

import tarfile
import threading
import zlib
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from retrieval.errors import ImageError
from retrieval.sources.tar.archive_files import changed_error, words
from retrieval.sources.tar.listing_memory import ListingMemory
from retrieval.sources.tar.packed_stream import DAMAGED, PackedStreams, open_forward, open_packed, save_index
from retrieval.sources.tar.shard_listing import BLOCK, ShardListing, list_shard

if TYPE_CHECKING:
    from retrieval.sources.tar.archive_files import ArchiveFiles, FileState

FAILS = (OSError, ImageError, ValueError, EOFError, tarfile.TarError, zlib.error)
"""What an archive that cannot be read raises."""

_HELD = 4
"""Listings that are held."""

_GZIP = b"\x1f\x8b"

_OTHER_PACKERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""First bytes of packed files that are not read."""

_HEAD = max(map(len, _OTHER_PACKERS))


class ArchiveReader:
    """The archives of one source. Safe to use from several threads.

    Args:
        files: where they lie.
        start: where their names begin in their paths.
    Attributes:
        memory: the folder with what is remembered of them; None for none.
    """

    def __init__(self, files: ArchiveFiles, *, start: int) -> None:
        self.files = files
        self._views = _Views(files, start)
        self._held: OrderedDict[str, ShardListing] = OrderedDict()
        self._states: dict[str, FileState] = {}  # of each archive, when it was listed
        self._packed: dict[str, bool] = {}
        self._streams = PackedStreams(self._views)
        self._lock = threading.RLock()

    @property
    def memory(self) -> Path | None:
        """The folder."""
        return self._views.memory

    @memory.setter
    def memory(self, folder: Path | None) -> None:
        self._views.memory = folder

    def name_of(self, path: str) -> str:
        """Return the name of an archive, with which the keys of its members begin."""
        return self._views.name_of(path)

    def listing(self, path: str, *, keep: ListingMemory | None = None) -> ShardListing:
        """Return the members of an archive as it is now.

        Args:
            path: the archive.
            keep: written to what was read anew; only a build writes.
        """
        with self._lock:
            listing = self._held.get(path)
            if listing is not None and keep is None and "://" in path:
                return listing  # a store is asked once
            state, name = self.files.state(path), self.name_of(path)
            if listing is None or listing.state != state:
                self._streams.close(path)
                listing = (keep or ListingMemory(self.memory)).read(name, state)
            if listing is None:
                listing = self._listed(path, keep)
                if keep is not None:
                    keep.write(name, listing)
            if keep is not None:
                keep.note(name, listing)
            self._held[path], self._states[path] = listing, listing.state
            self._held.move_to_end(path)
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
            return listing

    def read(self, path: str, start: int, size: int, *, link: str) -> bytes:
        """Read some bytes of an archive as it was listed.

        Args:
            path: the archive.
            start, size: which bytes of what it holds unpacked.
            link: what messages call them.
        Raises:
            ImageError: they cannot be read, or the archive has changed; `reason` never says that they are gone.
        """
        try:
            state = self._states.get(path) or self.listing(path).state
            packed = self._packed.get(path)
            if packed is None:
                with self.files.open(path) as file:
                    packed = self._packed[path] = file.read(2) == _GZIP
            if not packed:
                return self.files.read(path, start, size, state=state)
            if "://" not in path and self.files.state(path) != state:
                raise changed_error(path)
            data = self._unpacked(path, start, size, link=link)
        except ImageError:
            raise
        except FileNotFoundError as error:
            raise member_error(link, "read-error", "cannot be read: its archive is not there") from error
        except FAILS as error:
            raise member_error(link, "read-error", f"cannot be read ({words(error)})") from error
        if len(data) < size:
            raise member_error(link, "read-error", "cannot be read: its archive ends before it does")
        return data

    def _unpacked(self, path: str, start: int, size: int, *, link: str) -> bytes:
        """Read a member of a gzipped archive.

        Whoever jumps into packed data compares no checksum, and behind damage everything may be in another place: so the
        header in front of the member has to be one.
        """
        data = self._streams.read(path, start - BLOCK, BLOCK + size)
        try:
            tarfile.TarInfo.frombuf(data[:BLOCK], "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            self._streams.close(path)  # the next one is looked for from a place of the seek index
            what = f"cannot be read: {DAMAGED}"
            raise member_error(link, "read-error", what) from error
        return data[BLOCK:]

    def _listed(self, path: str, memory: ListingMemory | None) -> ShardListing:
        """Read the headers of an archive."""
        state = self.files.state(path)
        with self.files.open(path) as file:
            head = file.read(_HEAD)
            for start, program in _OTHER_PACKERS.items():
                if head.startswith(start):
                    raise OSError(0, f"it is packed by {program}; unpack it, or pack it by gzip")
            packed = self._packed[path] = head.startswith(_GZIP)
            file.seek(0)
            name = public(path)
            if not packed:
                return list_shard(file, state, name=name, size=state.size if state.size >= 0 else None)
            with suppress(*FAILS), open_packed(file) as view:
                listing = list_shard(view, state, name=name, size=None)
                if not listing.failure:
                    place = None if memory is None else memory.seek_index(self.name_of(path), state)
                    if place is not None:
                        save_index(view, place)
                    return listing
        # Read forward, which gets as far as the damage. The file is opened anew: it was read behind Python's back.
        with self.files.open(path) as file, open_forward(file) as view:
            return list_shard(view, state, name=name, size=None)


class _Views:
    """Opens unpacked views of gzipped archives; it does not know the reader, so that files are closed with that."""

    def __init__(self, files: ArchiveFiles, start: int) -> None:
        self._files, self._start = files, start
        self.memory: Path | None = None

    def __call__(self, path: str) -> tuple[IO[bytes], Any]:
        """Open an archive and the view of it."""
        index = ListingMemory(self.memory).seek_index(self.name_of(path), self._files.state(path))
        file = self._files.open(path)
        return file, open_packed(file, index)

    def name_of(self, path: str) -> str:
        """Return an archive's name."""
        return path.partition("?")[0][self._start :]


def member_error(link: str, reason: str, what: str) -> ImageError:
    """Return the error for a member that cannot be read."""
    return ImageError(f"{link}: {what}", reason=reason, what=what)


def public(text: str) -> str:
    """Return a path or URL as it may be shown and kept."""
    if "://" not in text:
        return text
    from retrieval.sources.remote import public_url

    return public_url(text)

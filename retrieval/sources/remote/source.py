"""A folder at a URL as a source: a bucket, a page of links; or a single image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NamedTuple

from retrieval.errors import ImageError, OptionError, SourceIncomplete
from retrieval.sources import (
    FORMATS,
    UNSUPPORTED,
    UNSUPPORTED_FORMAT,
    Selection,
    Skipped,
    has_image_suffix,
    recognise,
    suffix_of,
)
from retrieval.sources.decoding import MAX_PIXELS
from retrieval.sources.media import MediaOptions, part_bytes, split_key
from retrieval.sources.remote.files import RemoteFile, RemoteFiles
from retrieval.sources.remote.limits import READERS
from retrieval.sources.remote.readers import read_ahead
from retrieval.sources.remote.urls import is_url, joined, public_url

if TYPE_CHECKING:
    from retrieval.sources import Entry, Seen

_AT_ONCE = 1024
_HEAD = 64
"""Bytes by which a file is recognised."""


class _At(NamedTuple):
    """A file below the URL."""

    key: bytes
    stamp: bytes
    url: str
    claimed: bool = True


class RemoteSource:
    """What lies below a URL; keys are paths relative to it.

    Args:
        text: the URL.
        exclude, include: globs, as a folder has them.
        every, pages: which pictures of films and documents are taken, as `retrieval.sources.media.MediaOptions` has it.
        allow_private: HTTP may reach addresses of private networks.
    """

    type: ClassVar[str] = "remote"
    takes: ClassVar[frozenset[str]] = frozenset({"exclude", "include", "every", "pages", "allow_private"})
    name: str
    readers: int = READERS
    memory: Path | None = None

    def __init__(
        self,
        text: str,
        *,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        every: Any = None,
        pages: bool = False,
        allow_private: bool = False,
    ) -> None:
        self._media = MediaOptions.from_json({"every": every, "pages": pages})
        self._url = text
        self.spec = self.name = public_url(text)
        self._selection = Selection(exclude=exclude, include=include)
        self._files = RemoteFiles(allow_private=allow_private)

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say whether it is a URL."""
        return is_url(text)

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> RemoteSource:
        """Name what lies at a URL; it is not asked yet."""
        return cls(text, **options)

    @property
    def options(self) -> Mapping[str, Any]:
        """What the manifest keeps."""
        facts = {
            "exclude": list(self._selection.exclude),
            "include": list(self._selection.include),
            "allow_private": self._files.allow_private,
        }
        return {name: value for name, value in facts.items() if value} | self._media.to_json()

    def entries(self, seen: Seen) -> Iterator[_At | Skipped]:
        """List the folder, and the folders in it.

        Raises:
            OptionError: the store does not answer, or has nothing there.
            SourceIncomplete: it stopped answering.
        """
        listed = 0
        try:
            for file, described in self._described_files(seen):
                listed += 1
                if isinstance(described, ImageError):
                    yield Skipped(key=os.fsencode(file.path), reason=described.reason, detail=described.what)
                elif isinstance(described, Exception):
                    raise described
                else:
                    yield self._entry(described)
        except ImageError as error:
            if not listed:
                raise OptionError(f"{error}; nothing was changed") from error
            raise SourceIncomplete(f"{self.name} was listed up to {listed:,} files ({error})") from error

    def _described_files(self, seen: Seen) -> Iterator[tuple[RemoteFile, RemoteFile | Exception]]:
        """Yield each file with what tells that it is unchanged; where the listing did not say it, files are asked for together."""
        found, failed = self._found(seen), None
        while failed is None:
            block: list[RemoteFile] = []
            try:
                block.extend(islice(found, _AT_ONCE))
            except ImageError as error:  # raised behind what came before it
                failed = error
            if all(file.size >= 0 and file.mark for file in block):
                yield from zip(block, block, strict=True)
            else:
                yield from read_ahead(block, self._described)
            if failed is not None:
                raise failed
            if not block:
                return

    def _found(self, seen: Seen) -> Iterator[RemoteFile]:
        """Yield the files that are selected."""
        if not self._files.is_folder(self._url):
            yield self._files.status(self._url)
            return
        for file in self._files.walk(self._url):
            *folders, name = file.path.split("/")
            if self._selection.excludes(file.path) or any(
                self._selection.excludes("/".join(folders[:depth])) for depth in range(1, len(folders) + 1)
            ):
                continue
            hidden = next(
                (
                    system
                    for depth in range(1, len(folders) + 1)
                    if (system := self._selection.left_out("/".join(folders[:depth]), folders[depth - 1]))
                ),
                None,
            )
            if hidden is not None and not self._selection.includes(file.path):
                seen.left_out[hidden] += 1
                continue
            if name and seen.takes(os.fsencode(file.path)):
                yield file

    def _described(self, file: RemoteFile) -> RemoteFile:
        """Return a file with what tells that it is unchanged; pages of links do not have it."""
        if file.size >= 0 and file.mark:
            return file
        known = self._files.status(file.url)
        return RemoteFile(url=file.url, path=file.path, size=known.size, mark=known.mark)

    @staticmethod
    def _entry(file: RemoteFile) -> _At | Skipped:
        key, suffix = os.fsencode(file.path), suffix_of(file.path.rpartition("/")[2])
        if suffix in UNSUPPORTED:
            return Skipped(
                key=key, reason=UNSUPPORTED_FORMAT, detail=f"{suffix} is not read; convert it ({FORMATS})"
            )
        return _At(key, file.stamp, file.url, claimed=has_image_suffix(file.path))

    def look(self, entry: Any) -> _At | Skipped | None:
        """Ask for the first bytes of a file."""
        size = int.from_bytes(entry.stamp[:8], "little")
        try:
            head = self._files.read_range(self._location(entry), 0, min(size, _HEAD)) if size else b""
        except ImageError as error:
            return Skipped(key=entry.key, reason=error.reason, detail=error.what)
        kind = recognise(head, size=size)
        if kind == "image":
            found: _At = entry
            return found
        if kind == "no image":
            return None
        return Skipped(
            key=entry.key, reason=UNSUPPORTED_FORMAT, detail=f"{kind} is not read; convert it ({FORMATS})"
        )

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Fetch a file; or one picture of a film or document."""
        part = split_key(entry.key)
        if part is None:
            return self._files.read(
                self._location(entry), most=None if max_pixels is None else 4 * max_pixels
            )
        with self._files.open(self._at(part[0])) as file:
            return part_bytes(file, part[1], max_pixels=max_pixels or MAX_PIXELS, name=self.link(entry.key))

    def open(self, entry: Entry) -> BinaryIO:
        """Open a file whose parts are requests."""
        return self._files.open(self._location(entry))

    def read_head(self, entry: Entry, size: int) -> bytes:
        """Fetch the first bytes of a file, as many as there are."""
        part = split_key(entry.key)
        least = min(size, int.from_bytes(entry.stamp[:8], "little"))
        location = self._location(entry) if part is None else self._at(part[0])
        return self._files.read_range(location, 0, least) if least else b""

    def _location(self, entry: Entry) -> str:
        if isinstance(entry, _At):
            return entry.url
        return self._at(entry.key)

    def _at(self, key: bytes) -> str:
        path = os.fsdecode(key)
        if self._url.partition("?")[0].endswith("/" + path):
            return self._url  # a single image
        return joined(self._url, path)

    def holds(self, key: bytes) -> bool:
        """Ask the store for a file, or for the one that a picture is a part of."""
        part = split_key(key)
        try:
            self._files.status(self._at(key if part is None else part[0]))
        except (ImageError, OptionError):
            return False
        return True

    def link(self, key: bytes) -> str:
        """Return the URL of a file, without what grants access."""
        return public_url(self._at(key))

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the file that a URL below this one names."""
        text, start = os.fspath(path), self.spec.partition("?")[0].rstrip("/") + "/"
        if not text.startswith(start):
            return None
        key = os.fsencode(text.partition("?")[0][len(start) :])
        part = split_key(key)
        try:
            file = self._files.status(self._at(key if part is None else part[0]))
        except (ImageError, OptionError):
            return None
        return _At(key, file.stamp if part is None else self._media.stamp(file.stamp), file.url)

    def changed(self, memory: Path) -> bool:  # noqa: ARG002 -- nothing is remembered
        """Return False: a query does not wait for a network. The next build tells."""
        return False

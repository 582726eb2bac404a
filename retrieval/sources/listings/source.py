"""A listing as a source: keys are the paths and URLs as it has them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, ClassVar, NamedTuple

from retrieval.errors import ImageError, OptionError, SourceIncomplete
from retrieval.location import working_directory
from retrieval.sources import (
    FORMATS,
    UNSUPPORTED,
    UNSUPPORTED_FORMAT,
    DistinctKeys,
    KeyPlaces,
    Skipped,
    file_marks,
    keys,
    suffix_of,
)
from retrieval.sources.decoding import MAX_PIXELS
from retrieval.sources.listings.lines import Line, is_listing_name, read_lines
from retrieval.sources.listings.places import Places
from retrieval.sources.media import DOCUMENT_SUFFIXES, FILM_SUFFIXES, MediaOptions, part_bytes, split_key
from retrieval.sources.remote import READERS, RemoteFiles, is_url, public_url

if TYPE_CHECKING:
    from retrieval.sources import ColumnValue, Entry, Seen

_INPUT = "-"
_AT_ONCE = 4096

_SEVERAL = frozenset((*FILM_SUFFIXES, *DOCUMENT_SUFFIXES))
"""Suffixes of files that hold several pictures."""


class _Named(NamedTuple):
    """An image that a line names."""

    key: bytes
    stamp: bytes
    location: str
    columns: Mapping[str, ColumnValue]
    claimed: bool = True


class ListingSource:
    """A text file, CSV or JSON lines of paths and URLs, here or at a URL; ``-`` is the standard input.

    Args:
        text: its absolute path, its URL, or ``-``.
        image_column: with the paths or URLs; None takes the one that is called so.
        column: columns that are handed on; None for captions and labels.
        from0: a NUL ends each line.
        relative_to: what relative paths of the standard input are relative to; None for the working directory.
        every, pages: which pictures of films and documents are taken, as `retrieval.sources.media.MediaOptions` has it.
        allow_private: URLs may lead into private networks.
    """

    type: ClassVar[str] = "listing"
    takes: ClassVar[frozenset[str]] = frozenset(
        {"image_column", "column", "from0", "every", "pages", "allow_private", "relative_to"}
    )
    name: str
    memory: Path | None = None

    def __init__(
        self,
        text: str,
        *,
        image_column: str | None = None,
        column: Sequence[str] | None = None,
        from0: bool = False,
        relative_to: str | None = None,
        every: Any = None,
        pages: bool = False,
        allow_private: bool = False,
    ) -> None:
        self._media = MediaOptions.from_json({"every": every, "pages": pages})
        self._text, self._image_column, self._from0 = text, image_column, from0
        self._column = None if column is None else tuple(column)
        self._remote = RemoteFiles(allow_private=allow_private)
        self.spec = public_url(text) if is_url(text) else text
        self.name = "the standard input" if text == _INPUT else self.spec
        if text == _INPUT:
            base = relative_to or str(working_directory())
        elif is_url(text):
            path, question, query = text.partition("?")
            base = f"{path.rpartition('/')[0]}/{question}{query}"
        else:
            base = os.path.dirname(text)
        self._places = Places(base, self._remote)
        self._names_urls = False

    @property
    def readers(self) -> int:
        """How many images are read at a time: as many as may be, if there are URLs among them."""
        return READERS if self._names_urls else 0

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say whether it is ``-``, or ends as listings do."""
        return text == _INPUT or is_listing_name(text)

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> ListingSource:
        """Open a listing; it is not read yet."""
        return cls(text, **options)

    @property
    def options(self) -> Mapping[str, Any]:
        """What the manifest keeps."""
        facts = {
            "image_column": self._image_column,
            "column": None if self._column is None else list(self._column),
            "from0": self._from0 and self._text != _INPUT,  # each pipe is written in its own way
            "relative_to": self._places.base if self._text == _INPUT else None,
            "allow_private": self._remote.allow_private,
        }
        return {name: value for name, value in facts.items() if value} | self._media.to_json()

    def entries(self, seen: Seen) -> Iterator[_Named | Skipped]:
        """Read the listing, and look at each file that it names; of URLs none is asked for.

        Raises:
            OptionError: it cannot be opened, or is no listing.
            SourceIncomplete: it broke off.
        """
        mark = self._mark()
        distinct, twice = DistinctKeys(), 0
        with self._opened() as file:
            lines = self._lines(file, wanted=self._column, tell=seen.note)
            while block := list(islice(lines, _AT_ONCE)):
                named = [self._key(line) for line in block]
                is_new = distinct.add(named).tolist()
                for line, key, new in zip(block, named, is_new, strict=True):
                    if new and seen.takes(key):
                        yield self._entry(line, key)
                    elif not new:
                        twice += 1
        if twice:
            lines_name = "1 line names" if twice == 1 else f"{twice:,} lines name"
            seen.note(f"{self.name}: {lines_name} a file again; it is taken once")
        if self.memory is not None and mark is not None:
            file_marks.keep(self.memory, {self.name: mark})

    def _key(self, line: Line) -> bytes:
        name = os.path.basename(self.spec) or _INPUT
        return Places.key_of(line.place) if line.place else os.fsencode(f"{name}#{line.number}")

    def _entry(self, line: Line, key: bytes) -> _Named | Skipped:
        if line.fault:
            return Skipped(key=key, reason="unreadable", detail=line.fault)
        suffix = suffix_of(os.fsdecode(key).partition("?")[0].rpartition("/")[2])
        if suffix in UNSUPPORTED:
            return Skipped(
                key=key, reason=UNSUPPORTED_FORMAT, detail=f"{suffix} is not read; convert it ({FORMATS})"
            )
        if suffix in _SEVERAL and not self._media.takes(key):
            option = "`every`" if suffix in FILM_SUFFIXES else "`pages`"
            return Skipped(
                key=key, reason=UNSUPPORTED_FORMAT, detail=f"holds several pictures; {option} takes them in"
            )
        try:
            location = self._places.locate(line.place)
            self._names_urls = self._names_urls or is_url(location)
            return _Named(key, self._places.stamp(location), location, line.columns)
        except ImageError as error:
            return Skipped(key=key, reason=error.reason, detail=error.what)

    def _lines(
        self,
        file: IO[bytes],
        *,
        wanted: Sequence[str] | None = (),
        tell: Callable[[str], None] | None = None,
    ) -> Iterator[Line]:
        lines = read_lines(
            file, self.name, column=self._image_column, wanted=wanted, from0=self._from0, tell=tell
        )
        read = 0
        try:
            for line in lines:
                read += 1
                yield line
        except (OSError, ImageError) as error:
            raise SourceIncomplete(f"{self.name} broke off after {read:,} lines ({error})") from error

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self._text == _INPUT:
            yield _standard_input()
            return
        try:
            file = self._remote.open(self._text) if is_url(self._text) else _open_file(self._text)
        except ImageError as error:
            raise OptionError(str(error)) from error
        except OSError as error:
            raise OptionError(
                f"{self.name} cannot be read ({error.strerror}); check the path, or mount its drive"
            ) from error
        with file:
            yield file

    def look(self, entry: Any) -> _Named | Skipped | None:
        """Take a line for an image: whoever wrote the list says so."""
        found: _Named | Skipped | None = entry
        return found

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Read a file, or fetch a URL; or one picture of a film or document."""
        part = self._part(entry.key)
        if part is not None:
            with self._places.open(self._places.locate(part[0])) as file:
                return part_bytes(
                    file, part[1], max_pixels=max_pixels or MAX_PIXELS, name=self.link(entry.key)
                )
        if isinstance(entry, _Named):
            return self._places.read(entry.location, max_pixels=max_pixels)
        location = self._places.locate(entry.key)
        try:
            return self._places.read(location, max_pixels=max_pixels)
        except ImageError as error:
            signed = self._written(entry.key) if error.reason == "permission" and is_url(location) else None
            if signed is None:
                raise
            return self._places.read(signed, max_pixels=max_pixels)

    def open(self, entry: Entry) -> BinaryIO:
        """Open a file, here or at a URL."""
        location = entry.location if isinstance(entry, _Named) else self._places.locate(entry.key)
        return self._places.open(location)

    def _part(self, key: bytes) -> tuple[bytes, str] | None:
        """Return the film or document of a picture, and the part; None for a file of its own, even one of such a name."""
        part = split_key(key)
        return None if part is None or os.path.isfile(self._places.locate(key)) else part

    def _written(self, key: bytes) -> str | None:
        """Return a URL as the listing has it now, with what grants access."""
        if self._text == _INPUT:
            return None
        with self._opened() as file:
            for line in self._lines(file):
                if line.place and line.place != key and Places.key_of(line.place) == key:
                    return self._places.locate(line.place)
        return None

    def columns(self, entry: Any) -> Mapping[str, ColumnValue]:
        """Return what the line says besides."""
        return entry.columns if isinstance(entry, _Named) else {}

    @cached_property
    def _known(self) -> KeyPlaces:
        def blocks() -> Iterator[list[bytes]]:
            with self._opened() as file:
                lines = self._lines(file)
                while block := list(islice(lines, _AT_ONCE)):
                    yield [self._key(line) if line.place else b"" for line in block]

        return KeyPlaces(blocks())

    def holds(self, key: bytes) -> bool:
        """Say whether the listing names a key, and there is a file; of URLs none is asked for."""
        try:
            part = self._part(key)
            key = key if part is None else part[0]
            location = self._places.locate(key)
            if not is_url(location) and not os.path.isfile(location):
                return False
            return self._text == _INPUT or self._known.find(key) is not None
        except (ImageError, OptionError, SourceIncomplete, ValueError):
            return False

    def link(self, key: bytes) -> str:
        """Return the path or URL of an image, without what grants access."""
        try:
            location = self._places.locate(key)
        except ImageError:
            return os.fsdecode(key)
        return public_url(location) if is_url(location) else location

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the image that a path or URL names, if the listing has it in one of the ways to write it."""
        text = os.fspath(path)
        place = public_url(text) if is_url(text) else os.path.abspath(text)
        for key in _ways(place, self._places.base):
            if self.holds(key):
                part = self._part(key)
                location = self._places.locate(key if part is None else part[0])
                stamp = self._places.stamp(location)
                return _Named(key, stamp if part is None else self._media.stamp(stamp), location, {})
        return None

    def changed(self, memory: Path) -> bool:
        """Say whether the listing itself has changed; the files that it names, and a list at a URL, are not asked."""
        if self._text == _INPUT or is_url(self._text):
            return False
        return not file_marks.same(memory, {self.name: keys.stamp_of(self._text)})

    def columns_changed(self, memory: Path) -> bool:
        """Say whether the listing itself has changed; its store is asked, once."""
        mark = self._mark()
        return mark is None or not file_marks.same(memory, {self.name: mark})

    def _mark(self) -> bytes | None:
        """Return what changes with the listing; None where nobody tells."""
        if self._text == _INPUT:
            return None
        if not is_url(self._text):
            return keys.stamp_of(self._text)
        try:
            file = self._remote.status(self._text)
        except ImageError:
            return None
        return file.stamp if file.mark else None


def _ways(place: str, base: str) -> Iterator[bytes]:
    """Yield how a listing may have written a path."""
    yield os.fsencode(place)
    if base and place.startswith(base.rstrip("/") + "/"):
        relative = place[len(base.rstrip("/")) + 1 :]
        yield os.fsencode(relative)
        yield os.fsencode("./" + relative)


def _open_file(path: str) -> IO[bytes]:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise OSError(0, "is not a regular file")
    return open(path, "rb")


def _standard_input() -> IO[bytes]:
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError("nothing is piped into the standard input; pipe a list of paths, or name a file")
    return sys.stdin.buffer

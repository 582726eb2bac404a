"""Define the `Source` protocol: what a kind of place that images come from must offer, and what it may offer besides.

A kind is a class; `retrieval.testing.check_source` tells whether it keeps the contract. README.md has one in full.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrieval.sources.folders import Seen, Skipped

ColumnValue: TypeAlias = str | int | float | bool | None
"""What a column may hold of one image."""

LONGEST_NAME: Final = 200
"""Characters that a column's name may have."""

MOST_COLUMNS: Final = 1_000
"""Columns that a source may give a row."""


class Entry(Protocol):
    """One image of a source, not read yet. A stored record is one, too.

    Attributes:
        key: names the image in the source, the same in every build; not empty.
        stamp: 16 bytes: its size in bytes, 0 if only reading it tells, then a number that differs once the image has changed, both little-endian.
            `retrieval.sources.keys.stamp` makes one of a size and a time, `stamp_of_tag` of a size and any bytes. Never empty.
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
        spec: the text that opens it again from any working directory: an absolute path, or an address without credentials.
        options: JSON values that the manifest keeps, so that the next build asks the same question; no credentials.
    """

    name: str

    @property
    def type(self) -> str:
        """The word."""

    @property
    def spec(self) -> str:
        """The text."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options."""

    def entries(self, seen: Seen) -> Iterator[Listed | Skipped]:
        """Yield all that is or may be an image, in a fixed order, each key once, reading none.

        It ends normally only if everything was listed.

        Args:
            seen: gets what is met besides; `seen.note` takes a line that people should read.
        Raises:
            OptionError: the source cannot be opened at all; the build stops.
            SourceIncomplete: after all that could be listed: there is more, which could not; no row is removed.
        """

    def look(self, entry: Any) -> Listed | Skipped | None:
        """Say by its first bytes what an entry is that does not claim to be an image: one, one that is not read, or None."""

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Return an image's bytes; safe to call from several threads.

        Args:
            entry: one of `entries`, or any other object with its key and stamp.
            max_pixels: as `retrieval.sources.decoding.decoder.read_file` has it; None for its default.
        Raises:
            ImageError: it is not there, or cannot be read.
        """

    def holds(self, key: bytes) -> bool:
        """Say whether there is something to read under a key."""

    def link(self, key: bytes) -> str:
        """Return what a person can open: a path or an address."""

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the entry that a path (or what `link` returned) names, as it is now; None if the source does not hold it."""

    def changed(self, memory: Path) -> bool:
        """Say cheaply whether images came or went since the last build; True where the source cannot tell.

        Args:
            memory: the folder in which the build keeps what it remembers of this source.
        """


class SourceType(Protocol):
    """A class of sources, as the registry knows it: a plugin's entry point in the group ``retrieval.sources`` leads to one.

    Attributes:
        type: the word for the kind; the entry point's name.
        takes: names of the options of `retrieval.build_index` that it understands.
    """

    type: ClassVar[str]
    takes: ClassVar[frozenset[str]]

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say from its form whether a SOURCE is of this kind; it must not depend on which packages are installed.

        Args:
            text: as it was typed, a path made absolute.
        """

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> Source:
        """Open a source; cheap, since a query does so too.

        Args:
            text: an absolute path, an address, or whatever `recognises` accepted or the manifest kept as `Source.spec`.
            options: JSON values by name, those of `takes` only; what is missing has its default.
        Raises:
            OptionError: it cannot be opened, or an option has a value that cannot be.
            MissingExtra: a package is missing; the message has the command that installs it.
        """


@runtime_checkable
class ColumnSource(Protocol):
    """A source that knows more of an image than its picture: captions, labels, columns of a table."""

    def columns(self, entry: Any) -> Mapping[str, ColumnValue]:
        """Return what is known of one of `Source.entries`; safe to call from several threads.

        Raises:
            ImageError: it cannot be read; the image is taken without it.
        """


@runtime_checkable
class WatchedColumnSource(ColumnSource, Protocol):
    """A source that tells whether it may say something new of images whose stamps stayed: others are then asked of each image."""

    def columns_changed(self, memory: Path) -> bool:
        """Say so cheaply, before `Source.entries` is asked; that images came or went does not matter.

        Args:
            memory: as `Source.changed` has it.
        """


@runtime_checkable
class CountedSource(Protocol):
    """A source that may know before it is listed how many entries there are."""

    def total(self) -> int | None:
        """Return how many, about; None where nobody knows. For a progress bar only."""


@runtime_checkable
class FileSource(Protocol):
    """A source whose entries can be opened as files: films are read piece by piece, not as a whole."""

    def open(self, entry: Entry) -> BinaryIO:
        """Open an entry for reading; the file can be sought, and the caller closes it.

        Raises:
            ImageError: it is not there, or cannot be opened.
        """


@runtime_checkable
class RememberingSource(Protocol):
    """A source that keeps files of its own from build to build, such as the listing of an archive.

    Attributes:
        memory: a folder in the collection for it, set before anything is asked; made if need be. What lies there may be lost
            at any time. None where the source is used without a collection. Only `Source.entries` writes to it.
    """

    memory: Path | None


@runtime_checkable
class ReadAheadSource(Protocol):
    """A source whose reads wait for something besides this machine, so that many should be under way at a time, each only once.

    Attributes:
        readers: how many images are read at a time; 0 where they come from this machine. Asked for after `Source.entries`.
    """

    @property
    def readers(self) -> int:
        """How many."""

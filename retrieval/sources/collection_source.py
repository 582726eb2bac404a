"""Open the sources that a manifest names, and read them as one."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.generation import FOLDER, HAND
from retrieval.errors import OptionError, RetrievalError
from retrieval.location import resolve_path, resolve_root
from retrieval.sources.folders import FolderOptions, FolderSource
from retrieval.sources.protocol import RememberingSource
from retrieval.sources.registry import source_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from indexes.generation import Manifest, Source as Recorded
    from retrieval.sources.folders import Seen, Skipped
    from retrieval.sources.protocol import Entry, Listed, Source

MEMORIES = "sources"
"""Folder of a collection with what builds remember of its sources, by number; the only folder's memory lies beside the manifest."""


def memory_of(directory: Path, number: int) -> Path:
    """Return where builds remember a source besides the first folder."""
    return directory / MEMORIES / str(number)


def spec_of(directory: Path, recorded: Recorded) -> str:
    """Return the text that opens a source that a manifest names."""
    if recorded.type == FOLDER:
        return os.fspath(resolve_root(directory, recorded.path))
    return resolve_path(directory, recorded.path or "")


def open_recorded(
    directory: Path,
    recorded: Recorded,
    options: Mapping[str, Any] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
) -> Source:
    """Open one source that a manifest names.

    Args:
        directory: the collection's.
        recorded: what the manifest says of it.
        options: of this build, besides those that are recorded.
        root: its folder, if it is not where the manifest says.
    Raises:
        OptionError: its type is not installed, or it cannot be opened.
        MissingExtra: a package is missing.
    """
    asked = {**recorded.options, **(options or {})}
    if recorded.type == FOLDER:  # a folder that is away answers all the same: its rows have vectors
        home = resolve_root(directory, recorded.path, given=root)
        return FolderSource(home, FolderOptions.from_json(asked))
    text = spec_of(directory, recorded)
    try:
        kind = source_type(recorded.type)
    except OptionError as error:
        raise OptionError(
            f"{directory}: its source {text} is of the type {recorded.type!r}, which nothing that is installed reads; install "
            f"what reads it, or remove it and its rows with `drop_source`"
        ) from error
    source = kind.from_spec(text, {name: value for name, value in asked.items() if name in kind.takes})
    if isinstance(source, RememberingSource):
        source.memory = memory_of(directory, recorded.number)
    return source


def open_source(directory: Path, manifest: Manifest, *, root: str | os.PathLike[str] | None = None) -> Source:
    """Open what the rows of a collection are read from.

    Args:
        directory: the collection's.
        manifest: its manifest.
        root: the images' folder, if it is not where the manifest says.
    Returns:
        the folder, where there is no other source; else all of them as one.
    Raises:
        OptionError: the only source is of a type that is not installed.
    """
    built = [source for source in manifest.sources if source.type != HAND]
    if len(built) == 1 and built[0].type == FOLDER:
        return open_recorded(directory, built[0], root=root)
    whole = CollectionSource(directory, manifest, root=root)
    if len(built) == 1:
        whole.of(built[0].number)
    return whole


class CollectionSource:
    """The sources of a collection, read as one: each row by the source that its record names.

    A source is opened when something of it is read, so that one that is away keeps no other from answering.

    Args:
        directory, manifest, root: as `open_source` has them.
    """

    name: str

    type = "collection"

    def __init__(
        self, directory: Path, manifest: Manifest, *, root: str | os.PathLike[str] | None = None
    ) -> None:
        self._directory, self._root = directory, root
        self._recorded = {source.number: source for source in manifest.sources if source.type != HAND}
        self._first = next((source for source in manifest.sources if source.type == FOLDER), None)
        self._opened: dict[int, Source] = {}
        self._home = resolve_root(directory, manifest.root, given=root)
        self.name = ", ".join(spec_of(directory, source) for source in self._recorded.values()) or str(
            self._home
        )

    @property
    def spec(self) -> str:
        """The collection's directory."""
        return os.fspath(self._directory)

    @property
    def options(self) -> Mapping[str, Any]:
        """None: each source has its own."""
        return {}

    @cached_property
    def _by_hand(self) -> Source:
        """What reads a row that was added by hand under the path of a file."""
        return FolderSource(self._home, FolderOptions())

    def of(self, number: int) -> Source:
        """Return the source of a number; raises as `open_recorded`."""
        recorded = self._recorded.get(number)
        if recorded is None:
            return self._by_hand
        found = self._opened.get(number)
        if found is None:
            root = self._root if recorded is self._first else None
            found = self._opened[number] = open_recorded(self._directory, recorded, root=root)
        return found

    def _all(self) -> Iterator[Source]:
        """Yield the sources that can be opened."""
        for number in self._recorded:
            try:
                yield self.of(number)
            except RetrievalError:
                continue

    def _holder(self, key: bytes) -> Source:
        """Return the source that holds a key; that of rows by hand where none does."""
        return next((source for source in self._all() if source.holds(key)), self._by_hand)

    def entries(self, seen: Seen) -> Iterator[Listed | Skipped]:
        """Yield the entries of all sources."""
        for number in self._recorded:
            yield from self.of(number).entries(seen)

    def look(self, entry: Any) -> Listed | Skipped | None:
        """Ask the source that holds an entry."""
        return self._holder(entry.key).look(entry)

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Read an image from the source that its record names; an entry without one, from the source that holds its key."""
        number = getattr(entry, "source", None)
        source = self._holder(entry.key) if number is None else self.of(number)
        return source.read(entry, max_pixels=max_pixels)

    def holds(self, key: bytes) -> bool:
        """Say whether any source holds a key."""
        return self._holder(key).holds(key)

    def link(self, key: bytes) -> str:
        """Return the link of the source that holds a key."""
        return self._holder(key).link(key)

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the entry of the first source that has the path."""
        return next((found for source in self._all() if (found := source.find(path)) is not None), None)

    def changed(self, memory: Path) -> bool:
        """Say whether any source has changed; ``memory`` is the collection's directory."""
        for number, recorded in self._recorded.items():
            place = memory if recorded is self._first else memory_of(self._directory, number)
            if self.of(number).changed(place):
                return True
        return False

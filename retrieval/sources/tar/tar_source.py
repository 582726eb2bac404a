"""Tar files as a source: keys are ``name.tar/path``, and each image is read by its place in the archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from retrieval.errors import ImageError, OptionError, SourceIncomplete
from retrieval.sources import (
    FIRST_BYTES,
    FORMATS,
    UNSUPPORTED_FORMAT,
    Skipped,
    SourceEntry,
    keys,
    recognise,
    suffix_of,
)
from retrieval.sources.media import MediaOptions, split_key
from retrieval.sources.tar.archive_files import archives_of, words
from retrieval.sources.tar.archive_reader import FAILS, ArchiveReader, member_error, public
from retrieval.sources.tar.listing_memory import ListingMemory
from retrieval.sources.tar.samples import MOST_TEXT, read_columns
from retrieval.sources.tar.shard_listing import CLAIMED, NOT_PLAIN, NOT_READ, UNCLAIMED, ShardListing
from retrieval.sources.tar.shard_names import fixed_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from retrieval.sources import ColumnValue, Entry, Seen

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")

_NAMED: Final = 3
"""Archives that a message names."""


class TarEntry(NamedTuple):
    """An image in a tar file.

    Attributes:
        key, stamp, claimed: as in `retrieval.sources.protocol.Listed`.
        shard: path of the file.
        number: of the member in its listing.
        start: where its bytes begin.
        size: how many there are.
    """

    key: bytes
    stamp: bytes
    claimed: bool
    shard: str
    number: int
    start: int
    size: int


class TarSource:
    """Tar files.

    Args:
        text: a path or URL, in which braces and stars stand for several files.
        options: ``allow_private`` for URLs; ``every`` and ``pages`` for films and documents.
    """

    type: ClassVar[str] = "tar"
    takes: ClassVar[frozenset[str]] = frozenset({"allow_private", "every", "pages"})

    name: str
    readers: int

    def __init__(self, text: str, options: Mapping[str, Any]) -> None:
        self._text = text
        self._media = MediaOptions.from_json(options)
        self.options = {
            name: True for name in ("allow_private",) if options.get(name)
        } | self._media.to_json()
        self.spec = self.name = public(text)
        self._start = len(fixed_part(text)) + 1
        self._reader = ArchiveReader(archives_of(text, options), start=self._start)
        self.readers = _readers(text)
        self._shards: dict[bytes, str] | None = None  # name -> path

    @property
    def memory(self) -> Path | None:
        """The folder in which listings are kept."""
        return self._reader.memory

    @memory.setter
    def memory(self, folder: Path | None) -> None:
        self._reader.memory = folder

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say whether a text ends as the names of tar files do."""
        return text.partition("?")[0].lower().endswith(_SUFFIXES) and not os.path.isdir(text)

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> Self:
        """Open tar files; none is looked at yet."""
        return cls(text, options)

    def entries(self, seen: Seen) -> Iterator[TarEntry | Skipped]:
        """List the archives, each from its memory where it is unchanged."""
        failures: list[str] = []
        whole = 0
        memory = ListingMemory(self.memory)
        for name, path in self._find().items():
            if not seen.enters(name + b"/"):
                whole += 1
                continue
            try:
                listing = self._reader.listing(path, keep=memory)
            except FileNotFoundError:
                failures.append(f"{public(path)} does not exist")
                continue
            except FAILS as error:
                failures.append(f"{public(path)} cannot be listed ({words(error)})")
                continue
            whole += 1
            for note in listing.notes:
                seen.note(note)
            if listing.failure:
                failures.append(f"{public(path)} {listing.failure}")
            yield from _entries(name, path, listing)
        if not whole:
            raise OptionError(f"{'; '.join(failures[:_NAMED])}; check the path, or mount its drive")
        memory.finish(is_whole=not failures)
        if failures:
            more = f"; and {len(failures) - _NAMED:,} more" if len(failures) > _NAMED else ""
            raise SourceIncomplete("; ".join(failures[:_NAMED]) + more)

    def total(self) -> int | None:
        """Return how many entries the archives had at the last build."""
        return ListingMemory(self.memory).entries()

    def look(self, entry: TarEntry) -> TarEntry | Skipped | None:
        """Read the first bytes of a member."""
        try:
            head = self._reader.read(
                entry.shard, entry.start, min(entry.size, FIRST_BYTES), link=self.link(entry.key)
            )
        except ImageError as error:
            return Skipped(key=entry.key, reason=error.reason, detail=error.what)
        kind = recognise(head, size=entry.size)
        if kind == "image":
            return entry
        if kind == "no image":
            return None
        return _not_read(entry.key, kind)

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Read a member at its place, or one picture of a film or document."""
        from retrieval.sources.decoding import refuse_large
        from retrieval.sources.media import part_bytes

        part = self._part(entry.key)
        if part is not None:
            whole = self.read(SourceEntry(part[0], b""), max_pixels=max_pixels)
            return part_bytes(whole, part[1], name=self.link(entry.key))
        place = entry if isinstance(entry, TarEntry) else self._place(entry.key)
        if place is None:
            raise member_error(self.link(entry.key), "vanished", "is not in its archive any more")
        refuse_large(self.link(entry.key), place.size, max_pixels=max_pixels)
        return self._reader.read(place.shard, place.start, place.size, link=self.link(entry.key))

    def columns(self, entry: Entry) -> Mapping[str, ColumnValue]:
        """Read the texts of an image's sample: ``.txt``, ``.cls`` and ``.json`` beside it.

        Raises:
            ImageError: they cannot be read.
        """
        place = entry if isinstance(entry, TarEntry) else self._place(entry.key)
        if place is None:
            return {}
        try:
            texts = self._reader.listing(place.shard).texts_beside(place.number)
            return read_columns(
                (
                    suffix,
                    self._reader.read(place.shard, start, min(size, MOST_TEXT), link=self.link(entry.key)),
                )
                for suffix, start, size in texts
            )
        except ImageError:
            raise
        except FAILS as error:
            raise member_error(
                self.link(entry.key), "read-error", f"has texts that cannot be read ({words(error)})"
            ) from error

    def columns_changed(self, memory: Path) -> bool:  # noqa: ARG002 -- of whatever archives
        """Return False: the stamp of an image is that of its archive, so its texts change with it."""
        return False

    def holds(self, key: bytes) -> bool:
        """Say whether an archive has such a member, or one that a picture is a part of."""
        part = self._part(key)
        return self._place(key if part is None else part[0]) is not None

    def _part(self, key: bytes) -> tuple[bytes, str] | None:
        """Return the film or document of a picture, and the part; None for a member of its own."""
        part = split_key(key)
        return None if part is None or self._place(key) is not None else part

    def link(self, key: bytes) -> str:
        """Return the archive's path with the member's behind it."""
        return self.spec[: self._start] + os.fsdecode(key)

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the member that a path into an archive names."""
        text, folder = os.fspath(path), self.spec[: self._start]
        if not os.path.isabs(text) and "://" not in text:
            text = os.path.abspath(text)
        key = os.fsencode(text[len(folder) :])
        part = self._part(key) if text.startswith(folder) else None
        if part is not None:
            whole = self._place(part[0])
            return None if whole is None else SourceEntry(key, self._media.stamp(whole.stamp))
        place = self._place(key) if text.startswith(folder) else None
        return None if place is None else SourceEntry(place.key, place.stamp)

    def changed(self, memory: Path) -> bool:
        """Compare sizes and times of local archives with those of the last build; a store is not asked."""
        if "://" in self._text:
            return False
        try:
            shards = {
                os.fsdecode(name): self._reader.files.state(path).stamp for name, path in self._find().items()
            }
        except (OSError, OptionError):
            return True
        return shards != ListingMemory(memory).stamps()

    def _find(self) -> dict[bytes, str]:
        """Find the archives: name → path."""
        paths = self._reader.files.find(self._text)
        if not paths:
            raise OptionError(f"{self.spec}: no file has such a name; check the path, or mount its drive")
        self._shards = {os.fsencode(self._reader.name_of(path)): path for path in paths}
        return self._shards

    def _place(self, key: bytes) -> TarEntry | None:
        """Find a member by its key."""
        shards = self._shards if self._shards is not None else self._find()
        end = key.find(b"/")
        while end >= 0:
            path = shards.get(key[:end])
            if path is not None:
                break
            end = key.find(b"/", end + 1)
        else:
            return None
        try:
            listing = self._reader.listing(path)
        except FAILS:
            return None
        number = listing.find(key[end + 1 :])
        if number is None or listing.kinds[number] not in {CLAIMED, UNCLAIMED}:
            return None
        start, size = listing.places[number].tolist()
        stamp = keys.stamp_of_tag(size=size, tag=listing.state.stamp)
        return TarEntry(key, stamp, bool(listing.kinds[number] == CLAIMED), path, number, start, size)


def _entries(name: bytes, path: str, listing: ShardListing) -> Iterator[TarEntry | Skipped]:
    """Yield the members of one archive; a million of them take about two seconds."""
    prefix = name + b"/"
    tag = keys.stamp_of_tag(size=0, tag=listing.state.stamp)[8:]
    stamps = np.empty((len(listing), 2), np.uint64)
    stamps[:, 0] = listing.places[:, 1]
    stamps[:, 1] = int.from_bytes(tag, "little")
    packed = stamps.astype("<u8").tobytes()
    places = listing.places.tolist()
    for number, (member, kind) in enumerate(zip(listing.all_paths(), listing.kinds.tolist(), strict=True)):
        key = prefix + member
        if kind > UNCLAIMED:
            yield _without_data(key, kind, suffix_of(os.fsdecode(member)))
            continue
        start, size = places[number]
        yield TarEntry(
            key, packed[16 * number : 16 * number + 16], kind == CLAIMED, path, number, start, size
        )


def _without_data(key: bytes, kind: int, suffix: str) -> Skipped:
    if kind == NOT_READ:
        return _not_read(key, suffix)
    if kind == NOT_PLAIN:
        what = "is a sparse file, a device or a pipe; put it into the archive as a plain file"
        return Skipped(key=key, reason="not-a-file", detail=what)
    return Skipped(key=key, reason="vanished", detail="a link to a file that is not in the archive")


def _not_read(key: bytes, suffix: str) -> Skipped:
    return Skipped(key=key, reason=UNSUPPORTED_FORMAT, detail=f"{suffix} is not read; convert it ({FORMATS})")


def _readers(text: str) -> int:
    """Return how many threads read ahead: none where nothing is waited for."""
    if "://" not in text:
        return 0
    from retrieval.sources.remote import READERS

    return READERS

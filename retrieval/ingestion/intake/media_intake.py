"""Take the pictures of films and documents into the store: recognised by the file's content, or decoded and encoded."""

from __future__ import annotations

import io
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from retrieval.collection.rows import plain
from retrieval.columns import pack
from retrieval.errors import ImageError
from retrieval.sources import UNKNOWN, FileSource, SourceEntry
from retrieval.sources.media import all_parts, part_content, require_reader, split_key

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import BinaryIO

    from PIL import Image

    from indexes.store import Record
    from indexes.vectors import Vectors
    from retrieval.collection.rows import Growing
    from retrieval.columns import Value
    from retrieval.ingestion.changes import Changes
    from retrieval.sources import Entry, Listed, Source

_BLOCK = 1 << 20  # bytes of a file that are hashed at a time


class PartsTaker(Protocol):
    """What takes pictures into the store: `retrieval.ingestion.intake.intake.Intake`."""

    changes: Changes
    store: Growing
    source: Source
    max_pixels: int
    reused: int
    moved: int
    same: int
    broken: list[int]
    replaced: list[int]

    def is_known(self, content: bytes) -> bool:
        """Say whether a row has this content."""

    def vector_of(self, content: bytes) -> Vectors:
        """Return the vector ``(1, d)`` of a row that has a known content."""

    def append(self, file: Entry, content: bytes, vector: Vectors, columns: bytes) -> int:
        """Add a row; return its id."""

    def skip(self, file: Entry, error: ImageError) -> None:
        """List a file that is no readable image."""

    def note(self, file: Entry, note: str) -> None:
        """Tell of a file that was taken in though a part of it is missing."""


@dataclass(slots=True, kw_only=True)
class _File:
    """A film or document whose pictures are on their way.

    Attributes:
        stamp: that its pictures get once all are stored.
        before: ids of the rows that it had.
        rows: key of a picture → its row.
        waiting: pictures that were handed out and have not come back.
    """

    entry: Listed
    stamp: bytes
    before: set[int]
    rows: dict[bytes, int] = field(default_factory=dict)
    waiting: int = 0
    is_read: bool = False


@dataclass(slots=True, kw_only=True)
class Part:
    """One picture of a film or document on its way to the encoder.

    Attributes:
        file: key and stamp of its row.
        content: what its row has for a content hash.
        header: its columns.
        whole: the film or document.
    """

    file: SourceEntry
    content: bytes
    picture: Image.Image | None
    header: dict[str, Value]
    whole: _File
    taker: PartsTaker

    def read(self) -> Image.Image:
        """Return the picture, and hold it no longer."""
        picture, self.picture = self.picture, None
        assert picture is not None  # noqa: S101 -- for the type checker
        return picture

    def size(self) -> int:
        """Return how many bytes have to be read."""
        return 0

    def name(self) -> str:
        """Return what messages call the picture."""
        return self.taker.source.link(self.file.key)

    def stored(self, row: int | None) -> None:
        """Take note of the row that the picture got; None if it gets none."""
        if row is not None:
            self.whole.rows[self.file.key] = row
        self.whole.waiting -= 1
        _finish(self.whole, self.taker)


def media_parts(taker: PartsTaker) -> Generator[Part, None, None]:
    """Take in the films and documents of a build; yield the pictures that must be encoded, a file after the other.

    A file that was moved, copied or touched is recognised by its content, and not decoded. Of one that was begun by a killed
    build, or was read with other options, pictures that have a vector are not encoded again.
    """
    for entry in taker.changes.media:
        yield from _parts_of(entry, taker)


def _parts_of(entry: Listed, taker: PartsTaker) -> Iterator[Part]:
    changes = taker.changes
    options, name = changes.options, taker.source.link(entry.key)
    before = {number for number, _ in changes.parts.get(entry.key, ())}
    whole = _File(entry=entry, stamp=options.stamp(entry.stamp), before=before)
    try:
        require_reader(entry.key, options, name=name)
        with ExitStack() as stack:
            file = stack.enter_context(_opened(entry, taker))
            content = _content_of(file)
            if _recognise(whole, content, taker):
                return
            file.seek(0)
            for part, picture in all_parts(file, entry.key, options, max_pixels=taker.max_pixels, name=name):
                found = _take(whole, part, part_content(content, part), picture, taker)
                if found is not None:
                    yield found
    except ImageError as error:
        if not whole.rows and not whole.waiting:
            taker.skip(entry, error)
            if error.reason not in UNKNOWN:
                taker.broken.extend(before)
            return
        taker.note(entry, error.what)
    except OSError as error:
        taker.skip(entry, ImageError(f"{name}: {error}", reason="read-error", what=str(error)))
        return
    whole.is_read = True
    _finish(whole, taker)


def _opened(entry: Listed, taker: PartsTaker) -> BinaryIO:
    source = taker.source
    if isinstance(source, FileSource):
        return source.open(entry)
    return io.BytesIO(source.read(entry, max_pixels=taker.max_pixels))


def _content_of(file: BinaryIO) -> bytes:
    """Return the content hash of a file, read a piece at a time: that of `retrieval.sources.decoding.content_hash`."""
    digest = blake2b(digest_size=16)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.digest()


def _recognise(whole: _File, content: bytes, taker: PartsTaker) -> bool:
    """Give a file the rows of one with the same content, all of whose pictures were stored with the same options."""
    entry, changes = whole.entry, taker.changes
    for key, rows in changes.parts.items():
        alike = all(stamp[:8] == entry.stamp[:8] and changes.options.is_mark_of(stamp) for _, stamp in rows)
        records = _records(taker, [number for number, _ in rows]) if alike else []
        if not records or not all(_is_part_of(record, content) for record in records):
            continue
        if key == entry.key:
            _restamp(records, whole.stamp, taker)
        elif all(changes.missing.get(record.key) == record.id for record in records):
            _rename(records, entry.key, whole.stamp, taker)
            taker.replaced.extend(whole.before)
        else:
            for record in records:
                number = taker.append(
                    SourceEntry(_renamed(record.key, entry.key), whole.stamp),
                    record.content,
                    taker.vector_of(record.content),
                    plain(taker.store).columns([record.id])[0],
                )
                whole.rows[record.key] = number
            taker.reused += len(records)
            taker.replaced.extend(whole.before)
        return True
    return False


def _records(taker: PartsTaker, rows: list[int]) -> list[Record]:
    return [taker.store.record(number) for number in rows]


def _is_part_of(record: Record, content: bytes) -> bool:
    found = split_key(record.key)
    return found is not None and record.content == part_content(content, found[1])


def _restamp(records: list[Record], stamp: bytes, taker: PartsTaker) -> None:
    for record in records:
        if record.stamp == stamp:
            taker.same += 1
        else:
            taker.store.restamp(record.id, stamp)
            taker.reused += 1


def _rename(records: list[Record], key: bytes, stamp: bytes, taker: PartsTaker) -> None:
    for record in records:
        taker.store.rename(record.id, _renamed(record.key, key), stamp)
        del taker.changes.missing[record.key]
    taker.moved += len(records)


def _renamed(key: bytes, file: bytes) -> bytes:
    """Return the key of the same part of another file."""
    found = split_key(key)
    return file if found is None else file + b"#" + found[1].encode()


def _take(whole: _File, part: str, content: bytes, picture: Image.Image, taker: PartsTaker) -> Part | None:
    """Take in a picture that has a vector; return one that has none.

    Until all pictures of the file are stored, rows have the file's own stamp, by which the next build knows that it must go on.
    """
    file = SourceEntry(whole.entry.key + b"#" + part.encode(), whole.entry.stamp)
    header: dict[str, Value] = {"width": picture.width, "height": picture.height}
    old = taker.store.find(file.key)
    if old is not None and old in whole.before and taker.store.record(old).content == content:
        whole.rows[file.key] = old
        return None
    if taker.is_known(content):
        columns = pack(header, {})
        whole.rows[file.key] = taker.append(file, content, taker.vector_of(content), columns)
        taker.reused += 1
        return None
    whole.waiting += 1
    return Part(file=file, content=content, picture=picture, header=header, whole=whole, taker=taker)


def _finish(whole: _File, taker: PartsTaker) -> None:
    """Once all pictures of a file are stored, say so in their stamps, and give up the rows of what it was before."""
    if not whole.is_read or whole.waiting:
        return
    for number in whole.rows.values():
        taker.store.restamp(number, whole.stamp)
    kept = set(whole.rows.values())
    keys = set(whole.rows)
    taker.replaced.extend(
        record.id
        for record in _records(taker, sorted(whole.before))
        if record.id not in kept and record.key not in keys
    )

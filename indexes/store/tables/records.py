"""Define the record that the store keeps for each row, and its bytes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, NamedTuple
from zlib import crc32

from indexes.errors import OptionError, StoreCorrupt

CONTENT_BYTES: Final = 16
STAMP_BYTES: Final = 64
COLUMNS_BYTES: Final = 1 << 20
"""Bytes that the columns of one row may have."""

SOURCES: Final = 256
"""Sources that rows of one store may have: their numbers fit in a byte."""

_ID = struct.Struct(">Q")
_HEAD = struct.Struct("<BBI")
_MARK = itemgetter(0)
_MARK_AND_LENGTH = itemgetter(slice(0, 2))
_WITHOUT, _WITH_CONTENT = 0x8E, 0xE3
_SOURCE, _SOURCE_AND_CONTENT = 0x57, 0x6C  # those of rows whose source has another number than 0
_BODY: Final = 6
_SEALED = {  # where contents and stamps begin, by the mark
    _WITHOUT: (_BODY, _BODY),
    _WITH_CONTENT: (_BODY, _BODY + CONTENT_BYTES),
    _SOURCE: (_BODY + 1, _BODY + 1),
    _SOURCE_AND_CONTENT: (_BODY + 1, _BODY + 1 + CONTENT_BYTES),
}
_NUMBERED = frozenset((_SOURCE, _SOURCE_AND_CONTENT))
_OLD = (0, CONTENT_BYTES)
_STARTS = {mark: stamp for mark, (_, stamp) in _SEALED.items()} | {CONTENT_BYTES: 2 + CONTENT_BYTES}
"""Where stamps begin, by the mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A row to be stored.

    Attributes:
        key: what names the row, e.g. a path's bytes; not empty.
        content: hash of what was embedded, 16 bytes; or empty.
        stamp: at most 64 bytes that mean something to the caller, e.g. size and mtime.
        source: number of the source that made the row, below `SOURCES`; 0 for the first one.
        columns: what else the caller knows of the row, kept beside its record; at most `COLUMNS_BYTES`.
    """

    key: bytes
    content: bytes = b""
    stamp: bytes = b""
    source: int = 0
    columns: bytes = b""


class Record(NamedTuple):
    """What the store remembers of row ``id``; the fields of `NewRow`, its columns excepted. A tuple: it is made for every hit and every row scanned."""

    id: int
    key: bytes
    content: bytes
    stamp: bytes
    source: int = 0


def check_fields(
    *, key: bytes = b"-", content: bytes = b"", stamp: bytes = b"", source: int = 0, columns: bytes = b""
) -> None:
    """Refuse what a record cannot hold.

    Raises:
        OptionError: an empty key, a content hash that is not 16 bytes, a stamp over 64, a source over 255, or columns over
            `COLUMNS_BYTES`.
    """
    if not key:
        raise OptionError("an empty key cannot name a row")
    if len(content) not in (0, CONTENT_BYTES):
        raise OptionError(
            f"{key!r}: a content hash of {len(content)} bytes, expected {CONTENT_BYTES} or none"
        )
    if len(stamp) > STAMP_BYTES:
        raise OptionError(f"{key!r}: a stamp of {len(stamp)} bytes, expected at most {STAMP_BYTES}")
    if not 0 <= source < SOURCES:
        raise OptionError(f"{key!r}: a source of number {source}, expected 0 to {SOURCES - 1}")
    if len(columns) > COLUMNS_BYTES:
        raise OptionError(
            f"{key!r:.200}: columns of {len(columns):,} bytes, expected at most {COLUMNS_BYTES:,}; leave the longest out"
        )


def key_digest(key: bytes) -> bytes:
    """Return the BLAKE2b-128 of ``key``: LMDB's keys end at 511 bytes, paths do not."""
    return hashlib.blake2b(key, digest_size=16).digest()


def pack_id(number: int) -> bytes:
    """Return an id or a block number as LMDB's key, so that keys sort as numbers do."""
    return _ID.pack(number)


def unpack_id(data: bytes) -> int:
    """Invert `pack_id`."""
    number: int = _ID.unpack(data)[0]
    return number


def pack_record(record: Record) -> bytes:
    """Return a record's bytes: a mark, the length of the stamp, a CRC-32, then source, content, stamp and key.

    The mark says whether there is a content hash, and a source of another number than 0. Versions before format 3 had the
    length of the content hash in the mark's place and no checksum; no three changed bits make one mark of another.
    """
    rest = record.stamp + record.key
    return _sealed(record.id, record.content, len(record.stamp), rest, source=record.source)


def sealed_record(number: int, data: bytes) -> bytes:
    """Return a record of row ``number`` as `pack_record` makes it, whatever version wrote it."""
    if data[0] not in _OLD:
        return data
    return _sealed(number, data[2 : 2 + data[0]], data[1], data[2 + data[0] :])


def _sealed(number: int, content: bytes, stamp: int, rest: bytes, *, source: int = 0) -> bytes:
    body = content + rest
    mark = _WITH_CONTENT if content else _WITHOUT
    if source:
        body = bytes((source,)) + body
        mark = _SOURCE_AND_CONTENT if content else _SOURCE
    return _HEAD.pack(mark, stamp, _crc(body, number, stamp)) + body


def key_of(number: int, data: bytes) -> bytes:
    """Return the key of the packed record of row ``number``; raises as `unpack_record`."""
    return data[_places(number, data)[2] :]


def unpack_record(number: int, data: bytes) -> Record:
    """Invert `pack_record` for row ``number``.

    Raises:
        StoreCorrupt: it is not what was written.
    """
    start, stamp, key = _places(number, data)
    source = data[_BODY] if start > _BODY else 0
    return Record(number, data[key:], data[start:stamp], data[stamp:key], source)


def key_and_stamp(data: bytes) -> tuple[bytes, bytes]:
    """Return key and stamp of a packed record, unchecked.

    For a comparison of all files with all rows, where the checksums of 100,000 records would take a tenth of a second. A
    changed bit makes the row one of a file that was deleted or has changed: the build then makes it anew.
    """
    start = _STARTS.get(data[0], 2)
    key = start + data[1]
    return data[key:], data[start:key]


def keys_and_stamps(records: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the keys and the stamps of packed records, unchecked: what `key_and_stamp` says of each, in a third of its time.

    Nearly always all of them have the same mark and stamps of one length, and their parts lie at the same places.
    """
    heads = set(map(_MARK_AND_LENGTH, records))
    if len(heads) == 1:
        (head,) = heads
        start = _STARTS.get(head[0], 2)
        key = start + head[1]
        cuts = itemgetter(slice(key, None)), itemgetter(slice(start, key))
        return list(map(cuts[0], records)), list(map(cuts[1], records))
    pairs = [key_and_stamp(data) for data in records]
    return [key for key, _ in pairs], [stamp for _, stamp in pairs]


def content_of(data: bytes) -> bytes:
    """Return the content hash of a packed record, unchecked; empty where it has none. As `key_and_stamp`."""
    start, end = _SEALED.get(data[0], (2, 2 + data[0]))
    return data[start:end]


def source_of(data: bytes) -> int:
    """Return the number of the source of a packed record, unchecked; as `key_and_stamp`."""
    return data[_BODY] if data[0] in _NUMBERED else 0


def of_source(records: Sequence[bytes], source: int) -> list[int] | None:
    """Return the places of those packed records that a source made, unchecked; None for all of them.

    Where no record has a number, which is nearly always, this costs a tenth of what `key_and_stamp` does.
    """
    if _NUMBERED.isdisjoint(map(_MARK, records)):
        return None if source == 0 else []
    return [place for place, data in enumerate(records) if source_of(data) == source]


def _places(number: int, data: bytes) -> tuple[int, int, int]:
    """Return where content, stamp and key of a record begin, once its checksum fits."""
    mark, size = data[0] if len(data) > _HEAD.size else -1, len(data)
    if mark in _SEALED:
        _, length, found = _HEAD.unpack_from(data)
        # As `_crc` does it; every hit comes by here.
        if crc32(data[_BODY:], ((number << 7) + length) & 0xFFFFFFFF) != found:
            raise _damaged(number)
        start, stamp = _SEALED[mark]
    elif mark in _OLD or (mark < 0 and data[:1] in (b"\0", b"\x10")):
        start, stamp = 2, 2 + data[0]
        length = data[1] if size > 1 else 0
    else:
        raise _damaged(number)
    key = stamp + length
    if key >= size:
        raise _damaged(number)
    return start, stamp, key


def _crc(body: bytes, number: int, stamp: int) -> int:
    return crc32(body, ((number << 7) + stamp) & 0xFFFFFFFF)


def _damaged(number: int) -> StoreCorrupt:
    return StoreCorrupt(f"vectors.lmdb: the record of row {number} is not what was written; run `verify`")

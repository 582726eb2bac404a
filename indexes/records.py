"""What the store remembers of a row besides its vector, and how that lies in LMDB."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from indexes.errors import OptionError

CONTENT_BYTES: Final = 16
STAMP_BYTES: Final = 64

_ID = struct.Struct(">Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A row to be stored.

    Attributes:
        key: what names the row, e.g. a path's bytes; not empty.
        content: hash of what was embedded, 16 bytes; or empty.
        stamp: at most 64 bytes that mean something to the caller, e.g. size and mtime.
    """

    key: bytes
    content: bytes = b""
    stamp: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the store remembers of row ``id``; the fields of `NewRow`."""

    id: int
    key: bytes
    content: bytes
    stamp: bytes


def check_fields(*, key: bytes = b"-", content: bytes = b"", stamp: bytes = b"") -> None:
    """Refuse what a record cannot hold.

    Raises:
        OptionError: an empty key, a content hash that is not 16 bytes, or a stamp over 64.
    """
    if not key:
        raise OptionError("an empty key cannot name a row")
    if len(content) not in (0, CONTENT_BYTES):
        raise OptionError(
            f"{key!r}: a content hash of {len(content)} bytes, expected {CONTENT_BYTES} or none"
        )
    if len(stamp) > STAMP_BYTES:
        raise OptionError(f"{key!r}: a stamp of {len(stamp)} bytes, expected at most {STAMP_BYTES}")


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


def pack_record(record: Record | NewRow) -> bytes:
    """Return a record's bytes: the lengths of content and stamp, one byte each, then content, stamp and key."""
    return bytes((len(record.content), len(record.stamp))) + record.content + record.stamp + record.key


def key_of(data: bytes) -> bytes:
    """Return the key of a packed record."""
    return data[2 + data[0] + data[1] :]


def stamp_of(data: bytes) -> bytes:
    """Return the stamp of a packed record."""
    return data[2 + data[0] : 2 + data[0] + data[1]]


def unpack_record(number: int, data: bytes) -> Record:
    """Invert `pack_record` for row ``number``."""
    stamp = 2 + data[0]
    key = stamp + data[1]
    return Record(id=number, content=data[2:stamp], stamp=data[stamp:key], key=data[key:])

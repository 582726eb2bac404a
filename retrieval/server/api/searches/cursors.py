"""Write and read cursors: where the next page of an answer begins, and in which generation."""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from retrieval.server.api.requests import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.server.api.requests import Search

_SAMPLE: Final = 1024
"""Bytes of a picture that are looked at: as few as Python hashes without letting another thread go first."""


class Cursor(NamedTuple):
    """Where a page begins.

    Attributes:
        version: of the generation that answers.
        start: hits before it.
        digest: of the query that it belongs to.
    """

    version: tuple[int, int]
    start: int
    digest: str


_CURSOR = msgspec.json.Decoder(Cursor)


def digest_of(search: Search, uploads: Sequence[bytes]) -> str:
    """Return a short digest of a query: of all but its cursor and how many hits it wants at a time.

    Of an uploaded picture it holds the length and about a thousand bytes from all over it. Two pictures never share these by
    accident, and to hash a megabyte would hold up all other clients.
    """
    asked = msgspec.structs.replace(search, cursor=None, k=1)
    found = blake2b(msgspec.json.encode(asked), digest_size=9)
    for data in uploads:
        found.update(len(data).to_bytes(8, "little") + data[:: len(data) // _SAMPLE + 1])
    return base64.urlsafe_b64encode(found.digest()).decode()


def write_cursor(cursor: Cursor) -> str:
    """Return a cursor as a text without meaning to others."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str, *, digest: str) -> Cursor:
    """Read what `write_cursor` wrote.

    Raises:
        Refused: it is none, or belongs to another query.
    """
    try:
        cursor = _CURSOR.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error) as error:
        raise Refused(400, "the cursor is none that an answer gave; ask without it from the start") from error
    if cursor.digest != digest:
        raise Refused(
            400, "the cursor belongs to another query; send it with the very query that it came from"
        )
    if cursor.start < 1:
        raise Refused(400, "the cursor is none that an answer gave; ask without it from the start")
    return cursor

"""Define what the store of views remembers of a view: whose it is, and which part of the picture it shows."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from indexes.store import NewRow
from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    from indexes.store import Record
    from retrieval.views.layout import Box

CONTENT_BYTES = 16
_BOX = struct.Struct("<4f")


def view_key(content: bytes, per_image: int, number: int) -> bytes:
    """Return the key of one view: the image's content hash, how many views were asked for, and its number among them.

    So equal copies share their views, a moved file keeps them, and another number of views does not take these for its own.
    """
    return content + bytes((per_image, number))


def new_view(content: bytes, per_image: int, number: int, box: Box) -> NewRow:
    """Return the record of a view that is to be stored."""
    return NewRow(key=view_key(content, per_image, number), content=content, stamp=_BOX.pack(*box))


def box_of(record: Record) -> Box:
    """Return the part of the picture that a stored view shows.

    Raises:
        StoreCorrupt: the record is not a view's.
    """
    try:
        x, y, width, height = _BOX.unpack(record.stamp)
    except struct.error as error:
        raise StoreCorrupt(
            f"views: row {record.id} does not say which part it shows; run `verify`"
        ) from error
    return round(x, 4), round(y, 4), round(width, 4), round(height, 4)

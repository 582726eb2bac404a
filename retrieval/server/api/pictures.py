"""Read the images of rows, from whatever source: never by a path of a request, and never outside the collection's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from retrieval.errors import ImageError
from retrieval.sources.media import split_path

if TYPE_CHECKING:
    from retrieval.collection import Row
    from retrieval.server import Served

__all__ = ["picture_bytes", "picture_row", "require_inside"]


def picture_row(served: Served, number: int) -> Row:
    """Return the row of an id.

    Raises:
        MissingRow: there is none.
    """
    return served.collection[number]


def picture_bytes(served: Served, row: Row) -> bytes:
    """Return the bytes of a row's image.

    Raises:
        ImageError: it is not there, cannot be read, or lies outside the collection's folder.
    """
    if row.origin is None:
        require_inside(served, row)
    return row.read_bytes()


def require_inside(served: Served, row: Row) -> None:
    """Refuse a file that lies outside the collection's folder, be it by a link.

    Raises:
        ImageError: it does.
    """
    root = os.path.realpath(served.collection.root)
    part = split_path(row.link)
    file = os.path.realpath(row.link if part is None else part[0])
    if file != root and not file.startswith(root.rstrip(os.sep) + os.sep):
        raise ImageError(
            f"{row.key}: lies outside the collection's folder, and is not given out", reason="permission"
        )

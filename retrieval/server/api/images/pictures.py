"""Read the images of rows, from whatever source: never by a path of a request, and never outside the collection's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrieval.errors import ImageError
from retrieval.sources import FolderSource
from retrieval.sources.decoding import content_hash
from retrieval.sources.media import split_path

if TYPE_CHECKING:
    from pathlib import Path

    from retrieval.collection import Row
    from retrieval.server import Served


def picture_row(served: Served, number: int) -> Row:
    """Return the row of an id.

    Raises:
        MissingRow: there is none.
    """
    return served.collection[number]


def picture_bytes(served: Served, row: Row) -> bytes:
    """Return the bytes of a row's image, to be shown small or searched by.

    A file outside the folder, be it by a link, is read only if it is the very one that was indexed.

    Raises:
        ImageError: it is not there, cannot be read, or lies outside and is another one.
    """
    data = row.read_bytes()
    if not _is_inside(served, row) and content_hash(data) != row.content:
        raise _outside(row)
    return data


def original_bytes(served: Served, row: Row) -> bytes:
    """Return the bytes of a row's image, to be given out as they are.

    Raises:
        ImageError: it is not there, cannot be read, or lies outside the collection's folder.
    """
    if not _is_inside(served, row):
        raise _outside(row)
    return row.read_bytes()


def _is_inside(served: Served, row: Row) -> bool:
    """Say whether a file lies in the collection's folder, links followed; what is no file of a folder does."""
    root = _root(served, row)
    if root is None:
        return True
    top, part = os.path.realpath(root), split_path(row.link)
    file = os.path.realpath(row.link if part is None else part[0])
    return file == top or file.startswith(top.rstrip(os.sep) + os.sep)


def _root(served: Served, row: Row) -> Path | None:
    """Return the folder in which a row's file must lie; None for a row that comes from no folder."""
    if row.origin is None:
        return served.collection.root
    source: Any = row.origin.source
    own = source.of(row.origin.record.source) if hasattr(source, "of") else source
    return own.root if isinstance(own, FolderSource) else None


def _outside(row: Row) -> ImageError:
    return ImageError(
        f"{row.key}: lies outside the collection's folder, and is not given out", reason="permission"
    )

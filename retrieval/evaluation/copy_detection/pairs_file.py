"""Read a CSV file of queries and their originals."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import OptionError
from retrieval.sources import csv_lines

if TYPE_CHECKING:
    from retrieval.collection import Collection


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPairs:
    """What a file of pairs says.

    Attributes:
        originals: for the path of each query, the rows of its originals; none for a query without an original.
        unknown: lines, as query and original, whose original the collection does not have: they are left out.
        repeated: lines that were there before.
    """

    originals: dict[str, frozenset[int]]
    unknown: list[tuple[str, str]]
    repeated: int


def read_pairs(collection: Collection, path: str | os.PathLike[str]) -> QueryPairs:
    """Read a CSV file with the header ``query,original``.

    A query is a file: an absolute path, or one relative to the CSV file's folder or to the collection's. An original is a key
    of the collection, an absolute path, or a path relative to the CSV file's folder. A line without an original is a query that has
    none.

    Raises:
        OptionError: it cannot be read, has another header, or names no original of the collection.
    """
    beside = Path(os.path.abspath(path)).parent
    found: dict[str, set[int]] = {}
    seen: set[tuple[str, str]] = set()
    unknown: list[tuple[str, str]] = []
    repeated = 0
    for query, original in csv_lines(path, "original", file="query", missing=""):
        if not query.strip():
            continue
        file = _file(query, beside, collection)
        if (file, original) in seen:
            repeated += 1
            continue
        seen.add((file, original))
        if not original.strip():
            found.setdefault(file, set())
            continue
        row = _row(original, beside, collection)
        if row is None:
            unknown.append((query, original))
        else:
            found.setdefault(file, set()).add(row)
    if not any(found.values()):
        raise OptionError(
            f"{os.fspath(path)} names no original of the collection; originals are paths relative to {collection.root}"
        )
    return QueryPairs(
        originals={file: frozenset(rows) for file, rows in found.items()}, unknown=unknown, repeated=repeated
    )


def _file(query: str, beside: Path, collection: Collection) -> str:
    """Return where a query's file is: beside the CSV file, unless it is only below the collection's folder."""
    near = os.path.normpath(beside / query)
    below = os.path.normpath(collection.root / query)
    return below if not os.path.exists(near) and os.path.exists(below) else near


def _row(original: str, beside: Path, collection: Collection) -> int | None:
    """Return the row of an original, None where the collection has none."""
    root = os.path.abspath(collection.root)
    tried = [original]
    for file in (os.path.join(root, original), os.path.join(beside, original)):
        relative = os.path.relpath(os.path.normpath(file), root)
        tried.append(relative.replace(os.sep, "/"))
    for key in tried:
        if key in collection:
            return collection.id_of(key)
    return None

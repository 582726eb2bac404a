"""Find the tables that a text names, and keep a few of them open."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from retrieval.errors import ImageError, OptionError
from retrieval.sources import keys
from retrieval.sources.remote import RemoteFiles, is_url, public_url
from retrieval.sources.tables.image_column import ImageColumn, class_names, find_image_column
from retrieval.sources.tables.layouts import is_table_name, tables_in
from retrieval.sources.tables.row_window import RowWindow
from retrieval.sources.tables.table_files import TableFile, open_table
from retrieval.sources.tar import expand_braces

_OPEN = 3
"""Tables that are open at a time; each may hold some blocks of rows."""

_SPECIAL = re.compile(r"[*?\[{]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """A table of a set.

    Attributes:
        name: what the keys of its rows begin with: its path relative to the folder, or to the fixed part of a glob.
        location: its path or URL.
        mark: what changes with the file; empty if it is not there.
    """

    name: str
    location: str
    mark: bytes


class _Wanted:
    """The names that a text with wildcards and braces stands for."""

    def __init__(self, text: str) -> None:
        names = expand_braces(text)
        self._patterns = [keys.glob_pattern(name) for name in names]
        self._plain = [name for name in names if not has_glob(name)]

    def matches(self, name: str) -> bool:
        return any(pattern.match(name) for pattern in self._patterns)

    def missing(self, found: Sequence[str]) -> list[str]:
        """Return the names without wildcards that were not found: that a table is missing has to be said."""
        there = set(found)
        return [name for name in self._plain if name not in there]


class OpenedTable:
    """A table that is open, and what of it is read.

    Args:
        file: the table.
        images: where its images are.
        others: further columns that are read, apart from the images.
    """

    def __init__(self, file: TableFile, images: ImageColumn, others: Sequence[str]) -> None:
        self.file, self.images = file, images
        groups = file.groups
        self.rows = groups[-1].start + groups[-1].rows if groups else 0
        size = sum(file.column_bytes(leaf) for leaf in images.leaves)
        self.window = RowWindow(file, images.leaves, row_bytes=size // max(self.rows, 1))
        self.others = RowWindow(file, others, row_bytes=1024) if others else None

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """The names of classes that numbers of a column stand for, by column."""
        return class_names(self.file.schema)

    @cached_property
    def names_places(self) -> bool:
        """Say whether its images are all named by path or URL, none is held as bytes."""
        first, *rest = self.images.leaves
        return self.images.places or (bool(rest) and self.file.is_null(first))


class TableSet:
    """The tables of one source; safe to use from several threads.

    Args:
        text: an absolute path of a table or a folder, a glob, or a URL of either.
        image_column: as `find_image_column` has it.
        others: names of further columns of each table that are read row by row; a table need not have all.
        remote: reads URLs.
    """

    def __init__(
        self, text: str, remote: RemoteFiles, *, image_column: str | None, others: Sequence[str]
    ) -> None:
        self.text, self._remote = text, remote
        self._image_column, self._wanted = image_column, tuple(others)
        self._open: OrderedDict[str, OpenedTable] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def base(self) -> str:
        """The folder, or the URL of one, that the names of the tables are relative to; it ends without a slash."""
        path, question, query = self.text.partition("?") if is_url(self.text) else (self.text, "", "")
        if is_url(self.text) and not path.endswith("/") and (is_table_name(path) or has_glob(self.text)):
            start = _SPECIAL.search(path)
            path = path[: start.start()] if start else path
            path = path.rpartition("/")[0]
        elif not is_url(path) and not os.path.isdir(path):
            start = None if os.path.exists(path) else _SPECIAL.search(path)
            path = os.path.dirname(path[: start.start()] if start else path)
        return path.rstrip("/") + question + query

    @cached_property
    def tables(self) -> list[TableName]:
        """The tables, in a fixed order.

        Raises:
            OptionError: there is none, or a folder cannot be listed.
        """
        found = list(self._remote_tables() if is_url(self.text) else self._local_tables())
        if not found:
            raise OptionError(
                f"{public_url(self.text)}: no table is there; check the path, or mount its drive"
            )
        return found

    @cached_property
    def by_name(self) -> dict[str, TableName]:
        """The tables by name."""
        return {table.name: table for table in self.tables}

    def _local_tables(self) -> Iterator[TableName]:
        if os.path.isdir(self.text):
            names = tables_in(self.text)
        elif os.path.exists(self.text) or not has_glob(self.text):
            names = [os.path.basename(self.text)]
        else:
            wanted = _Wanted(self.text[len(self.base) + 1 :])
            names = [name for name in tables_in(self.base) if wanted.matches(name)]
            names += wanted.missing(names)
        for name in names:
            path = os.path.join(self.base, name)
            yield TableName(name=name, location=path, mark=keys.stamp_of(path))

    def _remote_tables(self) -> Iterator[TableName]:
        path = self.text.partition("?")[0]
        try:
            if is_table_name(path) and not has_glob(self.text):
                file = self._remote.status(self.text)
                yield TableName(name=path.rpartition("/")[2], location=self.text, mark=file.stamp)
                return
            start = len(self.base.partition("?")[0]) + 1
            wanted = _Wanted(path[start:]) if has_glob(path) else None
            found = []
            for listed in self._remote.walk(self.base):
                if is_table_name(listed.path) and (wanted is None or wanted.matches(listed.path)):
                    file = listed if listed.mark else self._remote.status(listed.url)
                    yield TableName(name=listed.path, location=file.url, mark=file.stamp)
                    found.append(listed.path)
            for name in wanted.missing(found) if wanted is not None else ():
                yield TableName(name=name, location=path[:start] + name + self.text[len(path) :], mark=b"")
        except ImageError as error:
            raise OptionError(f"{error}; nothing was changed") from error

    def opened(self, table: TableName) -> OpenedTable:
        """Return a table, opened now or before.

        Raises:
            ImageError: it is damaged or not there.
            OptionError: it has no column of images, or not the one that was asked for.
            MissingExtra: pyarrow is not installed.
        """
        with self._lock:
            found = self._open.get(table.name)
            if found is None:
                file: Any = self._remote.open(table.location) if is_url(table.location) else None
                name = public_url(table.location)
                opened = open_table(name, file)
                images = find_image_column(opened.schema, wanted=self._image_column, name=name)
                others = [column for column in self._wanted if column in opened.schema.names]
                found = self._open[table.name] = OpenedTable(opened, images, others)
                if len(self._open) > _OPEN:
                    self._open.popitem(last=False)  # closed once nobody reads it any more
            self._open.move_to_end(table.name)
            return found


def has_glob(text: str) -> bool:
    """Say whether a path or URL has wildcards or braces; a ``?`` in a URL begins its parameters."""
    return (
        re.search(r"[*\[{]" if is_url(text) else _SPECIAL, text.partition("?")[0] if is_url(text) else text)
        is not None
    )

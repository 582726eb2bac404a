"""Tables as a source: an image a row, keyed by its number or by a column.

Long because all that a source must answer stands in one class.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from retrieval.errors import ImageError, OptionError, SourceIncomplete
from retrieval.sources import UNSUPPORTED_FORMAT, DistinctKeys, KeyPlaces, Skipped, file_marks, keys
from retrieval.sources.listings import CAPTIONS, Places
from retrieval.sources.media import DOCUMENT_SUFFIXES, FILM_SUFFIXES
from retrieval.sources.remote import READERS, RemoteFiles, is_url, public_url
from retrieval.sources.tables.image_column import cell_of, plain_value, require_columns, value_of
from retrieval.sources.tables.layouts import is_saved_dataset, is_table_name
from retrieval.sources.tables.table_files import require_pyarrow
from retrieval.sources.tables.table_set import OpenedTable, TableName, TableSet, has_glob

if TYPE_CHECKING:
    from retrieval.sources import ColumnValue, Entry, Seen

_AT_ONCE = 4096


_SEVERAL = frozenset((*FILM_SUFFIXES, *DOCUMENT_SUFFIXES))
"""Suffixes of files that hold several pictures."""


class _Row(NamedTuple):
    """A row of a table."""

    key: bytes
    stamp: bytes
    table: str
    row: int
    claimed: bool = True


class TableSource:
    """Parquet, Arrow and Feather files, here or at a URL.

    The stamp of a row holds when its file was written: a file that is written anew is read anew, and its rows are recognised
    by the content of their images. Paths are stamped as files are.

    Args:
        text: absolute path of a table or of a folder of tables, a glob, or a URL of one.
        image_column: with bytes, paths or URLs; None takes the one that looks like it.
        key_column: with the keys of the rows; None for ``name.parquet#row``.
        column: columns that are handed on; None for those of `CAPTIONS`.
        allow_private: URLs may lead into private networks.
    """

    type: ClassVar[str] = "table"
    takes: ClassVar[frozenset[str]] = frozenset({"image_column", "key_column", "column", "allow_private"})
    name: str
    memory: Path | None = None

    def __init__(
        self,
        text: str,
        *,
        image_column: str | None = None,
        key_column: str | None = None,
        column: Sequence[str] | None = None,
        allow_private: bool = False,
    ) -> None:
        self._image_column, self._key_column = image_column, key_column
        self._column = None if column is None else tuple(column)
        self._remote = RemoteFiles(allow_private=allow_private)
        self.spec = self.name = public_url(text) if is_url(text) else text
        self._names_urls = False
        others = CAPTIONS if column is None else tuple(column)
        self._set = TableSet(text, self._remote, image_column=image_column, others=others)

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Say whether it ends as tables do, or is a folder that `datasets` saved."""
        return is_table_name(text) or (not is_url(text) and not has_glob(text) and is_saved_dataset(text))

    @classmethod
    def from_spec(cls, text: str, options: Mapping[str, Any]) -> TableSource:
        """Name tables; none is opened yet."""
        return cls(text, **options)

    @property
    def options(self) -> Mapping[str, Any]:
        """What the manifest keeps."""
        facts = {
            "image_column": self._image_column,
            "key_column": self._key_column,
            "column": None if self._column is None else list(self._column),
            "allow_private": self._remote.allow_private,
        }
        return {name: value for name, value in facts.items() if value}

    @property
    def readers(self) -> int:
        """How many images are read at a time: as many as may be, if there are URLs among them."""
        return READERS if self._names_urls else 0

    def total(self) -> int | None:
        """Add up the rows of the tables; None if there are many, or they lie elsewhere."""
        if is_url(self.spec) or len(self._set.tables) > 100:
            return None
        try:
            return sum(self._set.opened(table).rows for table in self._set.tables)
        except ImageError:
            return None

    def entries(self, seen: Seen) -> Iterator[_Row | Skipped]:
        """Yield the rows of each table. Of images nothing is read, of columns with keys, paths and URLs all.

        Raises:
            OptionError: there are no tables, none can be read, or a column is missing.
            MissingExtra: pyarrow is not installed.
            SourceIncomplete: one of several tables cannot be read to its end.
        """
        require_pyarrow(self.name)
        self._refresh()
        distinct, faults, listed = DistinctKeys(), list[ImageError](), 0
        for table in self._set.tables:
            try:
                for entry in self._rows(table, distinct, seen):
                    listed += 1
                    yield entry
            except ImageError as error:
                faults.append(error)
                yield Skipped(key=os.fsencode(table.name), reason=error.reason, detail=error.what)
        if faults and not listed:
            raise OptionError(f"{faults[0]}; nothing was changed")
        if faults:
            more = f", and {len(faults) - 1:,} more tables" if faults[1:] else ""
            raise SourceIncomplete(f"{faults[0]}{more}")
        if self.memory is not None:
            file_marks.keep(self.memory, self._marks())

    def _refresh(self) -> None:
        """Look anew at which tables there are, and open them anew."""
        others = CAPTIONS if self._column is None else self._column
        self._set = TableSet(self._set.text, self._remote, image_column=self._image_column, others=others)
        self.__dict__.pop("_known", None)

    def _rows(self, table: TableName, distinct: DistinctKeys, seen: Seen) -> Iterator[_Row | Skipped]:
        opened = self._set.opened(table)
        if self._column is not None:
            require_columns(opened.file.schema, self._column, name=public_url(table.location))
        stamp = keys.stamp_of_tag(size=0, tag=table.mark + opened.images.name.encode())
        name = os.fsencode(table.name)
        if self._key_column is None and not opened.names_places:
            text = table.name
            if not seen.enters(name + b"#"):
                return
            for row in range(opened.rows):
                yield _Row(b"%b#%d" % (name, row), stamp, text, row)
            return
        beside = self._places(table)
        for first, names, places in self._cells(table, opened):
            is_new = distinct.add(names).tolist()
            for offset, (key, place, new) in enumerate(zip(names, places, is_new, strict=True)):
                row = first + offset
                if not key or not new:
                    what = (
                        f"row {row} has no {self._key_column}"
                        if not key
                        else f"row {row} has a key again: {os.fsdecode(key)}"
                    )
                    yield Skipped(
                        key=b"%b#%d" % (name, row),
                        reason="no-key" if not key else "repeated-key",
                        detail=what,
                    )
                elif not seen.takes(key):
                    continue
                elif place is None:
                    yield _Row(key, stamp, table.name, row)
                else:
                    yield self._placed(key, place, table, row, beside)

    def _placed(self, key: bytes, place: bytes, table: TableName, row: int, places: Places) -> _Row | Skipped:
        """Return a row whose image is a file or a URL."""
        try:
            if not place:
                raise _empty(table, row)
            if _is_several(place):
                what = "holds several pictures; take it in as a source of its own, or by a listing, with `every` or `pages`"
                return Skipped(key=key, reason=UNSUPPORTED_FORMAT, detail=what)
            location = places.locate(place)
            self._names_urls = self._names_urls or is_url(location)
            mark = places.stamp(location)
        except ImageError as error:
            return Skipped(key=key, reason=error.reason, detail=error.what)
        return _Row(key, keys.stamp_of_tag(size=keys.size_of(mark), tag=mark + place), table.name, row)

    def _cells(
        self, table: TableName, opened: OpenedTable
    ) -> Iterator[tuple[int, list[bytes], list[bytes | None]]]:
        """Yield of a block of rows the first one's number, the keys, and the paths or URLs: None where there are bytes instead."""
        name, column = os.fsencode(table.name), opened.images.name
        leaves = []
        if self._key_column is not None:
            require_columns(opened.file.schema, [self._key_column], name=public_url(table.location))
            leaves.append(self._key_column)
        if opened.names_places:
            leaves.append(opened.images.leaves[-1])
        for first, batch in opened.file.batches(leaves, first=0, size=_AT_ONCE):
            rows = batch.num_rows
            if self._key_column is None:
                names = [b"%b#%d" % (name, row) for row in range(first, first + rows)]
            else:
                names = _keys(batch.column(self._key_column))
            places: list[bytes | None] = [None] * rows
            if opened.names_places:
                cells = batch.column(column)
                cells = cells if opened.images.places else cells.field("path")
                places = list(_keys(cells))
            yield first, names, places

    def _places(self, table: TableName) -> Places:
        path, question, query = (
            table.location.partition("?") if is_url(table.location) else (table.location, "", "")
        )
        return Places(path.rpartition("/")[0] + question + query, self._remote)

    def look(self, entry: Any) -> _Row | Skipped | None:
        """Take a row for an image: whoever wrote the table says so."""
        found: _Row | Skipped | None = entry
        return found

    def read(self, entry: Entry, *, max_pixels: int | None = None) -> bytes:
        """Return the bytes of a row, or read the file or URL that it names."""
        table, row = (entry.table, entry.row) if isinstance(entry, _Row) else self._find(entry.key)
        name = self._set.by_name[table]
        try:
            opened = self._set.opened(name)
            batch, place = opened.window.find(row)
        except LookupError as error:
            if isinstance(
                entry, _Row
            ):  # it was there when the table was listed: what it is now, nobody knows
                what = "has changed since it was listed; build again"
                raise ImageError(f"{self.name}: {what}", reason="read-error", what=what) from error
            raise _gone(entry.key, self.name) from error
        except OptionError as error:
            raise ImageError(str(error), reason="read-error", what=str(error)) from error
        except ImageError as error:  # the table is damaged: nobody knows what the row holds
            raise ImageError(str(error), reason="read-error", what=error.what) from error
        found = cell_of(batch.column(opened.images.name), place)
        if not found:
            raise _empty(name, row)
        if isinstance(found, bytes):
            return found
        places = self._places(name)
        return places.read(places.locate(os.fsencode(found)), max_pixels=max_pixels)

    def columns(self, entry: Any) -> Mapping[str, ColumnValue]:
        """Return the columns that were asked for, or captions and labels; classes by their names."""
        table, row = (entry.table, entry.row) if isinstance(entry, _Row) else self._find(entry.key)
        opened = self._set.opened(self._set.by_name[table])
        if opened.others is None:
            return {}
        batch, place = opened.others.find(row)
        return {
            name: plain_value(value_of(batch.column(name)[place]), opened.classes.get(name))
            for name in batch.schema.names
        }

    def _find(self, key: bytes) -> tuple[str, int]:
        """Return the table and the row of a key.

        Raises:
            ImageError: there is none.
        """
        try:
            if self._key_column is not None:
                number = self._known.find(key)
                if number is not None:
                    return self._at(number)
            else:
                name, _, row = os.fsdecode(key).rpartition("#")
                if name in self._set.by_name and row.isdecimal():
                    return name, int(row)
        except (OptionError, SourceIncomplete) as error:
            raise ImageError(str(error), reason="read-error", what=str(error)) from error
        raise _gone(key, self.name)

    @cached_property
    def _known(self) -> KeyPlaces:
        """The keys of a column, over all tables."""
        return KeyPlaces(
            names for table in self._set.tables for _, names, _ in self._cells(table, self._set.opened(table))
        )

    def _at(self, number: int) -> tuple[str, int]:
        """Return the table and the row of the n-th row of all."""
        for table in self._set.tables:
            rows = self._set.opened(table).rows
            if number < rows:
                return table.name, number
            number -= rows
        raise AssertionError  # it was counted over the same tables

    def holds(self, key: bytes) -> bool:
        """Say whether there is a row of a key; an empty one counts."""
        try:
            table, row = self._find(key)
            return row < self._set.opened(self._set.by_name[table]).rows
        except (ImageError, OptionError):
            return False

    def link(self, key: bytes) -> str:
        """Return the path or URL of the table, and the row as it is called in it."""
        name = os.fsdecode(key)
        table = name.rpartition("#")[0]
        if self._key_column is None and table in self._set.by_name:
            return public_url(self._set.by_name[table].location) + name[len(table) :]
        return f"{self.name}#{name}"

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the row that `link` names."""
        text = os.fspath(path)
        for table in self._set.tables if self._key_column is None else ():
            location = public_url(table.location)
            row = text[len(location) + 1 :]
            if text.startswith(location + "#") and row.isdecimal():
                return self._entry(table, int(row))
        return None

    def _entry(self, table: TableName, row: int) -> _Row | None:
        opened = self._set.opened(table)
        if row >= opened.rows:
            return None
        key = os.fsencode(f"{table.name}#{row}")
        if not opened.names_places:
            return _Row(
                key, keys.stamp_of_tag(size=0, tag=table.mark + opened.images.name.encode()), table.name, row
            )
        batch, place = opened.window.find(row)
        found = cell_of(batch.column(opened.images.name), place)
        entry = self._placed(
            key, os.fsencode(found) if isinstance(found, str) else b"", table, row, self._places(table)
        )
        return entry if isinstance(entry, _Row) else None

    def changed(self, memory: Path) -> bool:
        """Say whether a table came, went or was written; tables at a URL are not asked, nor files that rows name."""
        return not is_url(self.spec) and self.columns_changed(memory)

    def columns_changed(self, memory: Path) -> bool:
        """Say whether a table came, went or was written; a store is asked, too."""
        self._refresh()
        try:
            return not file_marks.same(memory, self._marks())
        except OptionError:
            return True

    def _marks(self) -> dict[str, bytes]:
        return {table.name: table.mark for table in self._set.tables}


def _keys(cells: Any) -> list[bytes]:
    """Return the keys that a column holds; nothing for a null."""
    import pyarrow as pa

    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        cells = cells.cast(pa.binary() if pa.types.is_string(cells.type) else pa.large_binary())
    values = cells.to_pylist()
    return [
        value if isinstance(value, bytes) else b"" if value is None else os.fsencode(str(value))
        for value in values
    ]


def _is_several(place: bytes) -> bool:
    """Say whether a path or URL is that of a film or document."""
    return place.partition(b"?")[0].rpartition(b".")[2].decode("utf-8", "replace").lower() in _SEVERAL


def _empty(table: TableName, row: int) -> ImageError:
    what = f"row {row} holds no image"
    return ImageError(f"{public_url(table.location)}: {what}", reason="empty", what=what)


def _gone(key: bytes, name: str) -> ImageError:
    what = f"{name} has no such row"
    return ImageError(
        f"{os.fsencode(key).decode('utf-8', 'backslashreplace')}: {what}", reason="vanished", what=what
    )

"""Read the rows of a collection and their images: keys, contents, stamps, folders, splits."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.collection.answers import origin_of
from retrieval.collection.rows import hand_number, is_by_hand
from retrieval.columns import unpack
from retrieval.errors import OptionError
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from indexes.store import Record
    from indexes.vectors import Bitmap, Ids
    from retrieval.collection import Collection
    from retrieval.collection.answers import Origin

_AT_ONCE: Final = 4096  # records read together


class ImageRows(AbstractContextManager["ImageRows"]):
    """The rows of a collection that are looked at, and what reads their images; a context manager.

    Rows are numbered by their places, see `Collection.places`: in one collection these are their ids.

    Args:
        collection: the collection; it shows one generation.
        mask: ``(count,)`` flags of the rows to look at.
    """

    def __init__(self, collection: Collection, mask: Bitmap) -> None:
        self.collection = collection
        self.mask = mask
        self.ids: Ids = np.flatnonzero(mask)  # (n,)
        self._store = collection.open_records()
        self._source = collection.source
        self._hand = hand_number(collection.manifest)

    def __exit__(self, *_error: object) -> None:
        self._store.close()

    @property
    def count(self) -> int:
        """Rows of the collection, deleted ones too."""
        return len(self.mask)

    @cached_property
    def contents(self) -> NDArray[np.uint64]:
        """The content hash of each row, ``(count, 2)``; zeros of rows without one and of those that are not looked at."""
        found = np.zeros((self.count, 2), dtype=np.uint64)
        for record in self._store.scan():
            if record.content and self.mask[record.id] and not is_by_hand(record, self._hand):
                found[record.id] = np.frombuffer(record.content, dtype=np.uint64)
        return found

    def row_id(self, number: int) -> int:
        """Return the id of a row."""
        return int(self.collection.ids_at(np.array([number]))[0])

    def records(self, ids: Iterable[int]) -> list[Record]:
        """Return the records of some rows, without a content hash for those by hand: theirs is of the vector."""
        found = self._store.records(list(ids))
        return [one._replace(content=b"") if is_by_hand(one, self._hand) else one for one in found]

    def record(self, number: int) -> Record:
        """Return the record of a row, as `records` does."""
        return self.records([number])[0]

    def read(self, record: Record) -> bytes:
        """Return the bytes of a row's image.

        Raises:
            ImageError: it is not there, or cannot be read.
        """
        return self._source.read(record)

    def origin(self, record: Record) -> Origin | None:
        """Return where a row's image is read from, if it is no file of the first folder."""
        return origin_of(self.collection, record, root=self.root)

    def path(self, record: Record) -> str:
        """Return where the file of a row lies, if it is one of the first folder."""
        return keys.path_of(record.key, self.root)

    def time(self, record: Record) -> int | None:
        """Return the modification time of a row's file in nanoseconds; None where there is none."""
        if self.origin(record) is not None or is_by_hand(record, self._hand):
            return None
        return keys.mtime_of(record.stamp) or None

    @cached_property
    def root(self) -> str:
        """The folder that keys are relative to."""
        return os.path.abspath(self.collection.root)

    def below(self, folders: Sequence[str | os.PathLike[str]]) -> Bitmap:
        """Return which rows lie in one of some folders, ``(count,)``.

        Raises:
            OptionError: one of them has no row.
        """
        found = np.zeros(self.count, dtype=np.bool_)
        for folder in folders:
            own = self.collection.mask(under=folder)
            if not own.any():
                raise OptionError(
                    f"{os.fspath(folder)}: no image of the collection lies there, so it is no reference; check the path"
                )
            found |= own
        return found

    @cached_property
    def file_names(self) -> NDArray[np.int64]:
        """A hash of the last part of each row's key, ``(count,)``; 0 of rows by hand and of those that are not looked at."""
        found = np.zeros(self.count, dtype=np.int64)
        for record in self._store.scan():
            if self.mask[record.id] and not is_by_hand(record, self._hand):
                found[record.id] = hash(record.key.rpartition(b"/")[2]) or 1
        return found

    def also_in(self, other: ImageRows) -> Bitmap:
        """Return which rows are files that another collection has, too, ``(count,)``.

        A file that has changed since one of them was built has another content there. So rows of one content are looked at, whatever links
        lead to them, and rows of one name.
        """
        found = np.zeros(self.count, dtype=np.bool_)
        known = {path for _, path in other._files(other._alike(self))}
        for number, path in self._files(self._alike(other)):
            found[number] = path in known
        return found

    def _alike(self, other: ImageRows) -> Ids:
        """Return the rows that have the content or the name of a row of another collection, ascending."""
        own, others = (
            np.ascontiguousarray(one.contents).view([("", np.uint64)] * one.contents.shape[1]).ravel()
            for one in (self, other)
        )
        equal = self.contents.any(axis=1) & np.isin(own, others)
        named = (self.file_names != 0) & np.isin(self.file_names, other.file_names)
        return np.flatnonzero(equal | named)

    def _files(self, ids: Ids) -> Iterator[tuple[int, str]]:
        """Yield those of some rows that are files of the first folder, each with its real path."""
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE].tolist()
            for number, record in zip(some, self.records(some), strict=True):
                if self.origin(record) is None:
                    yield number, os.path.realpath(self.path(record))

    def splits(self, column: str) -> list[str | None]:
        """Return the value of a column of each row as text, by row id; None for rows without one.

        Raises:
            OptionError: no row has such a column.
        """
        values: list[str | None] = [None] * self.count
        for number, data in self._store.scan_columns():
            if number < self.count and self.mask[number]:
                value: Any = unpack(data).get(column)
                if value is not None:
                    values[number] = str(value)
        if not any(value is not None for value in values):
            raise OptionError(
                f"no row of {self.collection.directory} has a column {column!r}; `info` lists those that there are"
            )
        return values

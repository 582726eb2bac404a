"""`RowReads`: the methods of `Collection` that read its rows: vectors, keys, ids, columns, flags, exports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from indexes.errors import value_text
from indexes.vectors import integer
from retrieval.deprecation import warn_renamed
from retrieval.errors import MissingRow, OptionError
from retrieval.hints import named_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow as pa

    from indexes.generation import Manifest
    from indexes.vectors import Bitmap, Ids, Transform, Vectors
    from retrieval.collection.collection import Collection
    from retrieval.collection.queries import RowName, RowNames
    from retrieval.collection.row_records import Records
    from retrieval.collection.row_view import Keys, Row
    from retrieval.collection.snapshots import Opened
    from retrieval.columns import Value


class RowReads:
    """What can be read of the rows of a `Collection`."""

    if TYPE_CHECKING:  # what the collection gives
        directory: Path
        _opened: Opened

        @property
        def root(self) -> Path:
            """As `Collection` has it."""

        @property
        def manifest(self) -> Manifest:
            """As `Collection` has it."""

        def _using(self) -> AbstractContextManager[Opened]: ...

    @property
    def rows(self) -> np.ndarray[Any, np.dtype[np.float16]]:
        """Every stored vector by its id, ``(count, d)`` float16, mapped; those of tombstoned rows too.

        Raises:
            OptionError: the encoder is being changed: the vectors are of two spaces.
        """
        self._opened.require_settled("the vectors are of two spaces")
        return self._opened.generation.rows

    @property
    def live(self) -> Bitmap:
        """Which rows have no tombstone, ``(count,)`` bool; do not change it."""
        return self._opened.live

    def row_ids(self, mask: Any = None) -> Ids:
        """Return the ids of rows, ascending: ``(n,)`` int64.

        Args:
            mask: ``(count,)`` flags such as `mask` returns; None for all rows without a tombstone.
        Raises:
            ShapeError: flags of another length.
        """
        with self._using() as opened:
            return self._numbers(opened, mask)

    def _numbers(self, opened: Opened, ids: Any) -> Ids:
        """Return the ids of some rows, or of all live ones, as `retrieval.collection.queries.row_numbers` does."""
        if ids is None:
            return opened.live_ids()
        from retrieval.collection.queries import row_numbers

        return row_numbers(opened, ids, root=self.root)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many rows there are, those with a tombstone too; of a sharded collection one number a shard."""
        return (self.manifest.count,)

    def open_records(self) -> Records:
        """Open the records of all rows by their places, as of the generation that answers; a context manager."""
        from indexes.generation import store_path
        from indexes.store import VectorStore

        manifest = self.manifest
        return VectorStore.open(
            store_path(self.directory, manifest),
            dim=manifest.space.dim,
            count=manifest.count,
            live=self.live,
        )

    def places(self, ids: RowNames) -> Ids:
        """Return where rows stand in arrays that have one entry a row: `rows`, `live`, and flags such as `mask` gives.

        In one collection that is a row's id. In a sharded one rows are counted through all shards.

        Args:
            ids: ids and keys.
        Raises:
            MissingRow: there is no such row.
        """
        with self._using() as opened:
            return opened.places(self._numbers(opened, ids))

    def ids_at(self, places: Ids) -> Ids:
        """Return the ids of rows that stand at some places, as `places` says them: ``(m,)`` int64."""
        with self._using() as opened:
            return opened.ids_at(np.asarray(places, dtype=np.int64))

    @property
    def rotation(self) -> Transform | None:
        """The rotation that a build fitted to make prefixes rank well; None where they need none, or none was fitted."""
        return self._opened.generation.rotation

    @named_arguments
    def mask(
        self,
        *,
        under: str | os.PathLike[str] | None = None,
        glob: str | None = None,
        ids: RowNames | None = None,
        mask: Any = None,
        where: Any = None,
    ) -> Bitmap:
        """Return which rows pass filters, those of `search`: ``(count,)`` bool by row id, the caller's own.

        Rows with a tombstone never do; without a filter all others do. Raises what these filters raise in `search`.
        """
        with self._using() as opened:
            keep = opened.row_filter(root=self.root, under=under, glob=glob, ids=ids, mask=mask, where=where)
            live = opened.live
            if keep is None:
                return live.copy()
            if keep.ids is None:
                return keep.flags & live
            flags = np.zeros_like(live)  # ids need not count up from 0: those of shards do not
            flags[np.flatnonzero(live)[np.searchsorted(opened.live_ids(), keep.ids)]] = True
            return flags

    def ids_of_content(self, content: bytes) -> Ids:
        """Return the live rows of files with this content hash (`retrieval.sources.decoding.decoder.content_hash`), ascending."""
        with self._using() as opened:
            ids = opened.store.find_content(content)
            live: Ids = ids[opened.is_live(ids)]
            return live

    @named_arguments
    def vectors(self, ids: RowNames | None = None) -> Vectors:
        """Return the stored vectors of some rows: ``(m, d)`` float32.

        Args:
            ids: one id or key, or several in any order; or ``(count,)`` flags such as `mask` returns, which give the rows
                where they are true. None for all rows without a tombstone, in the order of their ids.

        While the encoder changes, a row that is not encoded again yet is given as where the new encoder is expected to
        put it.

        Raises:
            MissingRow: an id or key that there is no row of.
            OptionError: floats, or whatever else is neither an id nor a key.
            ShapeError: flags of another length, or more than one axis.
        """
        with self._using() as opened:
            rows = self._numbers(opened, ids)
            return opened.vectors(rows)[:, : opened.space.dim]

    @named_arguments
    def columns(self, ids: RowNames | None = None) -> list[dict[str, Value]]:
        """Return the columns of some rows: what is known of each image besides its picture, by name.

        Args:
            ids: as in `vectors`. None for all rows without a tombstone, in the order of their ids.
        Returns:
            a dictionary for each row, empty for one without columns.
        Raises:
            MissingRow, OptionError, ShapeError: as in `vectors`.
        """
        from retrieval.columns import unpack

        with self._using() as opened:
            rows = self._numbers(opened, ids)
            return [unpack(data) for data in opened.store.columns(np.atleast_1d(rows))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Return what `export` gives as vectors, so that ``numpy.asarray(photos)`` has a row for each of `keys`."""
        rows = self.export()[0]
        return np.array(rows, dtype=dtype) if copy else np.asarray(rows, dtype=dtype)

    def __getitem__(self, row: RowName) -> Row:
        """Look at one row: an `int` is an id, text and bytes are a key.

        Raises:
            MissingRow: there is no such row, or it was deleted.
            OptionError: it is neither; `vectors` takes several.
        """
        if isinstance(row, slice | list | tuple) or (isinstance(row, np.ndarray) and row.ndim):
            raise OptionError("photos[…] is one row, by id or key; `vectors([…])` gives those of several")
        from retrieval.collection.answers import origin_of
        from retrieval.collection.queries import live_id
        from retrieval.collection.row_view import Row

        with self._using() as opened:
            number = live_id(opened, row, root=self.root)
            record = opened.store.record(number)
            origin = origin_of(opened, record, root=os.path.abspath(self.root))
            return Row(cast("Collection", self), number, record, origin=origin)

    def __contains__(self, row: object) -> bool:
        """Say whether there is a row of this id or key."""
        from retrieval.collection.queries import live_id

        try:
            with self._using() as opened:
                live_id(opened, row, root=self.root)
        except (MissingRow, OptionError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        """Yield the keys of all rows, in the order of their ids."""
        return iter(self.keys())

    __reversed__ = None

    def keys(self) -> Keys:
        """Return the keys of all rows in the order of their ids; they are read while you go through them."""
        from retrieval.collection.row_view import Keys

        return Keys(cast("Collection", self))

    def folders(self, under: str | os.PathLike[str] | None = None) -> dict[str, int]:
        """Return the names of the folders directly below one, sorted, with how many rows lie in each or below.

        Args:
            under: the folder, as `search` takes it; None for the root.
        Raises:
            OptionError: it lies outside the root.
        """
        from retrieval.sources import keys

        with self._using() as opened:
            return opened.paths().folders(keys.relative(under, self.root))

    def id_of(self, key: str | bytes | os.PathLike[str]) -> int:
        """Return the id of the row that has a key.

        Raises:
            MissingRow: there is none.
            OptionError: it is no key.
        """
        from retrieval.collection.queries import is_key, live_id

        if not is_key(key):
            raise OptionError(
                f"{value_text(key, 40)} ({type(key).__name__}) is no key; keys are text or bytes, and `key_of` gives that of an id"
            )
        with self._using() as opened:
            return live_id(opened, key, root=self.root)

    def key_of(self, number: int) -> str:
        """Return the key of a row, for an image its path relative to the root; of a deleted row the key that it had.

        Raises:
            MissingRow: no row ever had this id.
            OptionError: it is no integer.
        """
        from retrieval.collection.queries import is_key

        if is_key(number):
            raise OptionError(f"{value_text(number)} is a key; `id_of` gives its id")
        with self._using() as opened:
            return os.fsdecode(opened.store.record(integer(number, "the id", least=None, most=None)).key)

    def ids_by_path(self) -> dict[str, int]:
        """Return every row's id by its key: the old way to `id_of`."""
        warn_renamed("ids_by_path()[key]", "id_of(key)")
        with self._using() as opened:
            return {os.fsdecode(record.key): record.id for record in opened.store.scan()}

    def export(self) -> tuple[np.ndarray[Any, np.dtype[np.float16]], list[str]]:
        """Return all live vectors ``(n, d)`` float16 and their keys, in the order of ids.

        Bytes of a key that are not UTF-8 are surrogate-escaped; `os.fsencode` gives them back.

        Raises:
            OptionError: the encoder is being changed: the vectors are of two spaces.
        """
        with self._using() as opened:
            opened.require_settled("the vectors are of two spaces")
            live = np.flatnonzero(opened.live)  # (n,)
            rows = opened.generation.rows[: opened.manifest.count]
            if len(live) != opened.manifest.count:
                rows = rows[live]
            return rows, [os.fsdecode(record.key) for record in opened.store.records(live)]

    def to_arrow(self) -> pa.Table:
        """Return ``id``, ``key`` and the columns of all live rows as an Arrow table, in the order of ids.

        A row without a value has null there. Texts that come again and again are a dictionary. Bytes of a key that are not UTF-8
        are percent-encoded.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        from retrieval.collection.arrow_table import arrow_table

        with self._using() as opened:
            return arrow_table(opened)

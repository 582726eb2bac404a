"""`RowWrites`: the methods of `Collection` that add, replace and delete rows by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from retrieval.collection.rows import TIMEOUT
from retrieval.hints import named_arguments

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import SupportsIndex

    from indexes.vectors import Ids
    from retrieval.collection.collection import Collection
    from retrieval.collection.rows import Images, KeysLike, RowsReport, RowWriter, VectorsLike
    from retrieval.columns import ColumnsLike
    from retrieval.progress import ShowProgress


class RowWrites:
    """How rows of a `Collection` are written by hand."""

    @named_arguments
    def add(
        self,
        vectors: VectorsLike,
        keys: KeysLike | None = None,
        *,
        columns: ColumnsLike | None = None,
        timeout: float = TIMEOUT,
    ) -> Ids:
        """Add rows by hand. When this returns they are durable, and this collection finds them.

        Args:
            vectors: ``(n, d)`` or ``(d,)`` real numbers of the stored space, an array, a tensor or lists; or the path of a
                ``.npy`` file. They are normalised here.
            keys: one for each vector: texts, bytes or integers, which become decimal texts; or the `Path` of a file with one a
                line. ``None`` is each row's id as decimal text.
            columns: what else is known of each row: a dictionary of names and values for each.
            timeout: seconds to wait for another writer.
        Returns:
            the new ids ``(n,)`` int64, consecutive.
        Raises:
            OptionError: a key is taken, stands twice, or is none; or an upgrade is under way. Nothing was added.
            ShapeError, VectorError: vectors of another width, zero, or not finite. Nothing was added.
            CollectionLocked: somebody else still writes after `timeout`.
            CollectionNotFound: the collection was moved or deleted.
            StoreReadOnly, StoreFull, StoreClosed: it cannot be written; no space is left; it is closed.
        """
        with self.writer(timeout=timeout) as rows:
            return rows.add(vectors, keys, columns=columns)

    @named_arguments
    def upsert(
        self,
        vectors: VectorsLike,
        keys: KeysLike,
        *,
        columns: ColumnsLike | None = None,
        timeout: float = TIMEOUT,
    ) -> Ids:
        """Add rows by hand, or replace those that have these keys already; takes and raises what `add` does.

        A row that gets another vector gets another id. One that has this very vector stays as it is. Without `columns` rows
        keep theirs.

        Returns:
            the rows' ids ``(n,)`` int64, in the order of the keys.
        """
        with self.writer(timeout=timeout) as rows:
            return rows.upsert(vectors, keys, columns=columns)

    @named_arguments
    def add_images(self, images: Images, keys: KeysLike | None = None, *, timeout: float = TIMEOUT) -> Ids:
        """Encode images with the collection's encoder and add them; raises what `add` and `encoder` do.

        Args:
            images: paths, bytes of files, open binary files, Pillow images or uint8 arrays; one, a list, or a stream.
            keys: as in `add`. ``None`` is a path as it was given, and the row's id for any other image.
            timeout: seconds to wait for another writer.
        Returns:
            the new ids ``(n,)`` int64.
        Raises:
            ImageError: an image cannot be read; the message names it. Nothing was added.
        """
        with self.writer(timeout=timeout) as rows:
            return rows.add_images(images, keys)

    @named_arguments
    def delete(
        self,
        keys: KeysLike | None = None,
        ids: Any = None,
        *,
        where: str | None = None,
        timeout: float = TIMEOUT,
    ) -> int:
        """Delete rows that were added by hand.

        Args:
            keys: a key or several, as in `add`.
            ids: an id or several, or ``(count,)`` flags, in place of keys.
            where: all rows for which a condition over columns holds, as in `search`, in place of both.
            timeout: seconds to wait for another writer.
        Returns:
            how many rows were deleted.
        Raises:
            MissingRow: there is no such row. Nothing was deleted.
            OptionError: a row belongs to a file of the folder; delete that file, and build. Nothing was deleted.
            CollectionLocked, CollectionNotFound, StoreReadOnly, StoreFull, StoreClosed: as in `add`.
        """
        with self.writer(timeout=timeout) as rows:
            return rows.delete(keys, ids, where=where)

    def __delitem__(self, row: str | bytes | SupportsIndex) -> None:
        """Delete a row that was added by hand, by its key (text or bytes) or its id (an integer)."""
        if isinstance(row, str | bytes):
            self.delete(keys=row)
        else:
            self.delete(ids=row)

    def writer(self, *, timeout: float = TIMEOUT) -> AbstractContextManager[RowWriter]:
        """Give a block in which many rows are added, replaced and deleted, more than fit in memory.

        The block's `RowWriter` has the methods `add`, `upsert`, `delete` and `add_images`. What they do is committed every few
        seconds and published when the block ends. Until then searches see what was there before. If the block raises, what
        was done so far is published all the same. A killed process loses the last seconds. Nobody else writes meanwhile.

        Args:
            timeout: seconds to wait for another writer.
        Raises:
            CollectionLocked, CollectionNotFound, StoreReadOnly, StoreFull, StoreClosed, OptionError: as in `add`.
        """
        from retrieval.collection.rows import writing_rows

        return writing_rows(cast("Collection", self), timeout=timeout)

    @named_arguments
    def sync_vectors(
        self,
        vectors: VectorsLike,
        keys: KeysLike,
        *,
        prune: bool = False,
        timeout: float = TIMEOUT,
        progress: ShowProgress = True,
    ) -> RowsReport:
        """Make the rows by hand equal to vectors that you have; `retrieval.sync_vectors` says more.

        Args:
            vectors, keys, progress: as there.
            prune: delete the rows by hand whose keys are not among these; otherwise nothing is changed if there are some.
            timeout: seconds to wait for another writer.
        """
        from retrieval.collection.rows import synchronized

        return synchronized(
            cast("Collection", self), vectors, keys, prune=prune, timeout=timeout, progress=progress
        )

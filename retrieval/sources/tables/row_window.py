"""Read single rows of a table in any order, fast where they are asked for in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from retrieval.sources.tables.table_files import TableFile

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1024
_KEPT = 4
"""Batches that are held: threads ask for rows that lie near each other, not in order."""


class RowWindow:
    """A window over the rows of a table that moves forward; safe to use from several threads.

    Args:
        file: the table.
        leaves: of the columns that are read.
        row_bytes: that a row has, about.
    """

    def __init__(self, file: TableFile, leaves: Sequence[str], *, row_bytes: int) -> None:
        self._file, self._leaves = file, tuple(leaves)
        self._size = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(row_bytes, 1)))
        self._lock = threading.Lock()
        self._held: list[tuple[int, Any]] = []
        self._stream: Iterator[tuple[int, Any]] | None = None
        self._next = 0  # the row with which the stream goes on

    def find(self, row: int) -> tuple[Any, int]:
        """Return the record batch that holds a row, and the row's place in it.

        Raises:
            ImageError: the file is damaged.
            LookupError: there is no such row.
        """
        with self._lock:
            for start, batch in self._held:
                if start <= row < start + batch.num_rows:
                    return batch, row - start
            if self._stream is None or not self._next <= row < self._next + _KEPT * self._size:
                self._stream = self._file.batches(self._leaves, first=row, size=self._size)
            try:
                for start, batch in self._stream:
                    self._next = start + batch.num_rows
                    if row < self._next:
                        self._held = [*self._held[1 - _KEPT :], (start, batch)]
                        return batch, row - start
            except Exception:
                self._stream = None
                raise
            self._stream = None
            raise LookupError(row)

"""Keep the rerank file: a memory-mapped float16 copy of all rows.

The truth is LMDB's. A get from there touches every page of a block of about 1,024 rows; here a row costs one page.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.errors import MissingRow, StoreCorrupt
from indexes.files import sync_directory, writing
from indexes.repair_hints import unreadable
from indexes.vectors import Ids, Vectors

RERANK = "rerank.f16"


class RerankRows:
    """The first ``count`` rows, mapped and read-only; later commits do not change them.

    Attributes:
        path: the file.
        rows: ``(count, d)`` float16 unit rows, a memory map.
    """

    def __init__(self, path: Path, rows: NDArray[np.float16]) -> None:
        self.path = path
        self.rows = rows

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, dim: int, count: int) -> RerankRows:
        """Map the first ``count`` rows of the file at ``path``, each ``dim`` wide.

        Raises:
            StoreCorrupt: the file is missing, cannot be read, or is shorter than that.
        """
        where = Path(path)
        expected = count * dim * 2
        try:
            found = where.stat().st_size
        except FileNotFoundError as error:
            raise _short(where, "no such file", expected) from error
        except OSError as error:
            raise unreadable(error, where) from error
        if found < expected:
            raise _short(where, f"{found:,} bytes", expected)
        if count == 0:  # nothing to map
            return cls(where, np.empty((0, dim), np.float16))
        return cls(where, np.memmap(where, np.float16, "r", shape=(count, dim)))

    @property
    def count(self) -> int:
        """Rows mapped."""
        return len(self.rows)

    def gather(self, ids: Ids) -> Vectors:
        """Return the rows ``ids`` ``(m,)`` as ``(m, d)`` float32, in their order.

        Raises:
            MissingRow: an id is negative or not below ``count``.
        """
        ids = np.asarray(ids, np.int64)
        rows = np.asarray(self.rows)  # without what a memmap does for each array that is made of it
        if ids.size and ids.view(np.uint64).max() >= len(self.rows):  # a negative id is a huge one there
            bad = ids[(ids < 0) | (ids >= len(self.rows))][0]
            raise MissingRow(
                f"{self.path}: row {bad} is not among the {len(self.rows):,} rows; ids run from 0 to {len(self.rows) - 1:,}"
            )
        return rows.take(ids, axis=0).astype(np.float32)  # (m, d)


def _short(path: Path, found: str, expected: int) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path}: {found}, expected at least {expected:,} bytes; "
        "run `build_index` on the folder: it writes the file again from vectors.lmdb"
    )


def write_rows(path: Path, rows: NDArray[np.float16], *, first: int, sync: bool = True) -> None:
    """Write ``rows`` ``(n, d)`` from row ``first`` on; what lay behind them is cut off.

    Args:
        path: the rerank file.
        rows: ``(n, d)``, ``n > 0``.
        first: id of the first of them.
        sync: make the whole file durable.

    Raises:
        StoreFull: no space left; the file is cut back to ``first`` rows.
        StoreReadOnly: the file cannot be written.
    """
    start = first * rows.shape[1] * 2
    with writing(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(file, start)
            data = np.ascontiguousarray(rows).data.cast("B")
            done = 0
            try:
                while done < len(data):
                    done += os.pwrite(file, data[done:], start + done)
                if sync:
                    os.fsync(file)
            except OSError:
                os.ftruncate(file, start)
                raise
        finally:
            os.close(file)


def cut_rows(path: Path, *, count: int, dim: int) -> int:
    """Cut the file to whole rows, at most ``count``; return how many it holds. A missing file is made, empty.

    Raises:
        StoreReadOnly: the file cannot be written.
    """
    with writing(path):
        made = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if made:
                sync_directory(path.parent)
            size = os.fstat(file).st_size
            kept = min(count, size // (2 * dim))
            if size != kept * 2 * dim:
                os.ftruncate(file, kept * 2 * dim)
                os.fsync(file)
        finally:
            os.close(file)
    return kept

"""Keep in which inverted list each row behind an index's base would lie: eight bytes a row, encoded once.

Such rows are not in the index file. A search compares those exactly that lie in the lists it probes. An earlier version, which does not
know these files, compares all rows behind the base.

Layout: a ``.npy`` file ``(2, n)`` uint32: lists, ascending; and the rows in them, as numbers behind the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from indexes.errors import StoreCorrupt
from indexes.files import limit_reached, parsed, write_array
from indexes.generation import check_file
from indexes.generation.description import Manifest, generation_path
from indexes.generation.row_files.row_files import further_files, further_name
from indexes.repair_hints import cure_of_file
from indexes.vectors import Ids

__all__ = ["ROW_LISTS", "RowLists", "listed_rows", "open_row_lists"]

ROW_LISTS: Final = "lists.npy"
"""The kind of file; each is named by its first row, ``lists-FIRST.npy``."""


class RowLists:
    """Some rows that follow each other, by the list in which each lies; read-only.

    Attributes:
        first: id of the first row.
    """

    def __init__(self, first: int, table: NDArray[np.uint32]) -> None:
        """Take over what a file holds, ``(2, n)``."""
        self.first = first
        self._lists, self._rows = table

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._lists)

    @classmethod
    def of(cls, first: int, lists: NDArray[np.uint32]) -> RowLists:
        """Order rows by their lists.

        Args:
            first: id of the first row.
            lists: ``(n,)`` of each.
        """
        order = np.argsort(lists, kind="stable")
        return cls(first, np.stack((lists[order], order.astype(np.uint32))))

    def lists(self) -> NDArray[np.uint32]:
        """Return the list of each row, ``(n,)``."""
        found = np.empty(len(self), np.uint32)
        found[self._rows] = self._lists
        return found

    def among(self, probed: NDArray[np.int64]) -> Ids:
        """Return the ids of the rows that lie in some lists, ``(p,)``, each once; list by list."""
        wanted = probed.astype(np.uint32)
        starts = np.searchsorted(self._lists, wanted, side="left")
        stops = np.searchsorted(self._lists, wanted, side="right")
        sizes = stops - starts  # (p,)
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        places = np.arange(total) + np.repeat(starts - (ends - sizes), sizes)  # (m,)
        ids: Ids = self._rows[places].astype(np.int64) + self.first
        return ids

    def write(self, folder: Path) -> None:
        """Write the file into a folder; the caller makes it durable."""
        with (folder / further_name(ROW_LISTS, self.first)).open("wb") as file:
            write_array(file, np.stack((self._lists, self._rows)))


def listed_rows(manifest: Manifest) -> int:
    """Return how many rows a generation's index and its lists of later rows tell of together, without opening these.

    The files that a manifest names follow each other: what the last one tells of, its length says.
    """
    firsts = _firsts(manifest)
    if not firsts:
        return manifest.index.base_rows
    last = manifest.files[further_name(ROW_LISTS, firsts[-1])]
    return firsts[-1] + (last.bytes - _HEADER) // 8


def open_row_lists(directory: Path, manifest: Manifest) -> list[RowLists]:
    """Map the lists of the rows behind a generation's base, ascending by row; empty where it has none.

    Raises:
        StoreCorrupt: a file is not what was published, or they do not follow each other.
    """
    found: list[RowLists] = []
    end = manifest.index.base_rows
    for first in _firsts(manifest):
        name = further_name(ROW_LISTS, first)
        check_file(directory, manifest, name)
        path = generation_path(directory, manifest.generation) / name
        try:
            table = parsed(partial(np.load, path, mmap_mode="r", allow_pickle=False))
        except Exception as error:  # numpy's parser of headers raises its own
            raise limit_reached(error, path) or _damaged(path) from error
        if table.dtype != np.uint32 or table.ndim != 2 or len(table) != 2 or first != end:
            raise _damaged(path)
        found.append(RowLists(first, np.asarray(table)))
        end = first + table.shape[1]
        if end > manifest.count:
            raise _damaged(path)
    return found


def _firsts(manifest: Manifest) -> Sequence[int]:
    return [first for first in further_files(manifest.files, ROW_LISTS) if first >= manifest.index.base_rows]


_HEADER: Final = 128
"""Bytes before the numbers, as numpy writes such a file."""


def _damaged(path: Path) -> StoreCorrupt:
    return StoreCorrupt(f"{path}: not a table of lists of rows; {cure_of_file(path)}")

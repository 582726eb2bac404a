"""List the rows behind a large index's base by its lists, so that searches find them though the index is not written again.

A few such rows are compared with every query. Beyond `TAIL_ROWS` they are assigned to the base's lists (`indexes.generation.RowLists`),
and a query compares those in the lists it probes. When they grow to a fourth of the base, or a query would compare too many, they are
merged into it. So a row is encoded twice until the base has grown by half: listed once, merged once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexes.derivation.build_plan import BLOCK
from indexes.derivation.tuning import Rows
from indexes.engine import flat, ivf, nearest
from indexes.errors import StoreCorrupt
from indexes.files import link_or_copy
from indexes.generation import (
    INDEX,
    ROW_LISTS,
    Funnel,
    Inverted,
    Manifest,
    RowLists,
    further_name,
    generation_path,
    kept_files_and_next,
    listed_rows,
    open_row_lists,
)
from indexes.vectors import Vectors

TAIL_ROWS = 20_000
"""Rows that may wait outside the base, all compared exactly; or a tenth of it, if less. Then they are listed, or merged into it."""

_SHARE = 4  # of the base, that listed rows may be one of
_COMPARED = 2_000  # listed rows that a query compares exactly, on average and at most


def tail_rows(base: int) -> int:
    """Return how many rows may wait outside a base of so many, all compared with every query."""
    return min(base // 10, TAIL_ROWS)


def is_listed(info: object, *, base: int) -> bool:
    """Say whether rows behind an index of so many rows are listed, rather than merged into it."""
    return isinstance(info, Inverted) and info.nprobe is not None and base >= 10 * TAIL_ROWS


class Listing:
    """The lists of the rows behind a base.

    Args:
        home: the collection's directory.
        now: its rows.
    """

    def __init__(self, home: Path, now: Rows) -> None:
        self._home, self._now = home, now

    def most(self, path: Path, info: Funnel | Inverted) -> int:
        """Return how many rows may wait outside a base, listed ones included; 0 where none are listed.

        Args:
            path: of the index file.
            info: what the manifest says of it.
        """
        if not is_listed(info, base=info.base_rows):
            return 0
        lists = ivf.lists_of(ivf.open_mapped(path))
        return min(info.base_rows // _SHARE, _COMPARED * lists // max(info.nprobe or 1, 1))

    def carry(self, before: Manifest, prepared: Path) -> None:
        """Give a generation the lists of the one before, and list the rows behind them once these are many."""
        published = generation_path(self._home, before.generation)
        base, count = before.index.base_rows, self._now.count
        try:
            tables = open_row_lists(self._home, before)
        except StoreCorrupt:  # everything is listed anew
            tables, covered = [], base
        else:
            covered = listed_rows(before)
        kept, start = [table.first for table in tables], None
        if count - covered > TAIL_ROWS and is_listed(before.index, base=base):
            kept, start = kept_files_and_next(kept, covered, count)
        for first in kept:
            name = further_name(ROW_LISTS, first)
            link_or_copy(published / name, prepared / name)
        if start is not None:
            index = ivf.open_mapped(published / INDEX)
            known = [table.lists() for table in tables if table.first >= start]
            new = nearest.lists_of_rows(index, self._blocks(covered))
            RowLists.of(start, np.concatenate([*known, new])).write(prepared)

    def _blocks(self, start: int) -> Iterator[Vectors]:
        """Yield the rows from one on as floats."""
        for first in range(start, self._now.count, BLOCK):
            part = self._now.rows[first : first + BLOCK]
            wide = np.empty(part.shape, dtype=np.float32)
            flat.floats(part, wide)
            yield wide

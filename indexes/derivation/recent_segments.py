"""Encode the rows behind a large index's base in segments, so that searches find them though the index is not written again.

A few such rows are compared with every query. Beyond `SEGMENT_ROWS` they are encoded by the base's own training, which costs no training,
into a segment of their own. Segments of like size are merged by copying their codes. When the rows outside grow to a fourth of the base
they are merged into it, which encodes them once more. So a row is encoded twice until the base has grown by half.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexes.derivation.build_plan import BLOCK
from indexes.derivation.construction import wide_rows
from indexes.derivation.tuning import Rows
from indexes.engine import ivf, segments
from indexes.errors import StoreCorrupt
from indexes.files import link_or_copy
from indexes.generation import (
    INDEX,
    Funnel,
    IndexInfo,
    Inverted,
    Manifest,
    SegmentFile,
    check_file,
    generation_path,
    indexed_rows,
    kept_files_and_next,
    segment_files,
)
from indexes.vectors import Ids, Vectors

TAIL_ROWS = 20_000
"""Rows that may wait outside a base, all compared exactly; or a tenth of it, if less. Then they are merged into it."""

SEGMENT_ROWS = 10_000
"""Rows that may wait so beside a base of ten times `TAIL_ROWS` or more, until they are encoded: comparing 20,000 takes longer than the index."""

_SHARE = 4  # of the base, that rows in segments may be one of


def tail_rows(base: int) -> int:
    """Return how many rows may wait outside a base of so many that takes them in, all compared with every query."""
    return min(base // 10, TAIL_ROWS)


def waiting_rows(info: IndexInfo) -> int:
    """Return how many rows may wait outside an index before a new generation is written for them."""
    return SEGMENT_ROWS if _is_large(info) else tail_rows(info.base_rows)


class Segments:
    """The segments of the rows behind a base.

    Args:
        home: the collection's directory.
        now: its rows.
    """

    def __init__(self, home: Path, now: Rows) -> None:
        self._home, self._now = home, now

    def most(self, path: Path, info: Funnel | Inverted) -> int:
        """Return how many rows may wait outside a base, those in segments included; 0 where none are encoded there.

        Args:
            path: of the index file.
            info: what the manifest says of it.
        """
        return info.base_rows // _SHARE if _are_made(info, path) else 0

    def are_due(self, before: Manifest) -> bool:
        """Say whether a generation leaves more rows to be compared than a build would: a version without segments published it.

        Raises:
            StoreCorrupt: its index cannot be read.
        """
        if self._now.count - indexed_rows(before) <= SEGMENT_ROWS:
            return False
        return _are_made(before.index, generation_path(self._home, before.generation) / INDEX)

    def carry(self, before: Manifest, prepared: Path) -> None:
        """Give a generation the segments of the one before, and encode the rows behind them once these are many."""
        published = generation_path(self._home, before.generation)
        known = self._whole(before)
        covered = known[-1].end if known else before.index.base_rows
        count = self._now.count
        kept, start = [file.first for file in known], None
        if count - covered > SEGMENT_ROWS and _are_made(before.index, published / INDEX):
            kept, start = kept_files_and_next(kept, covered, count)
        for file in known[: len(kept)]:
            link_or_copy(published / file.name, prepared / file.name)
        if start is not None:
            earlier = [published / file.name for file in known[len(kept) :]]
            index = ivf.open_mapped(published / INDEX)
            made = segments.encode(index, self._blocks(covered), earlier=earlier)
            segments.save(made, prepared / SegmentFile(start, count).name)

    def _whole(self, before: Manifest) -> list[SegmentFile]:
        """Return the published segments up to the first that is not what was published: rows from there on are encoded anew."""
        whole = []
        for file in segment_files(before):
            try:
                check_file(self._home, before, file.name)
            except StoreCorrupt:
                break
            whole.append(file)
        return whole

    def _blocks(self, start: int) -> Iterator[tuple[Ids, Vectors]]:
        """Yield the ids and rows from one on, without those that have a tombstone."""
        now = self._now
        for first in range(start, now.count, BLOCK):
            ids = np.arange(first, min(first + BLOCK, now.count))
            ids = ids[~now.dead[ids]]
            if len(ids):
                yield ids, wide_rows(now.rows, ids)


def _are_made(info: IndexInfo, path: Path) -> bool:
    """Say whether rows behind an index are encoded in segments, rather than merged into it."""
    return _is_large(info) and segments.can_be(ivf.open_mapped(path))


def _is_large(info: IndexInfo) -> bool:
    return isinstance(info, Inverted) and info.nprobe is not None and info.base_rows >= 10 * TAIL_ROWS

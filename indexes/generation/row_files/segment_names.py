"""Name the files of segments: rows behind an index's base, encoded by its training.

Each is named by its first row and the one behind its last, ``segment-FIRST-END.faiss``. An earlier version, which does not know these
files, compares all rows behind the base.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from indexes.generation.description import Manifest

_NAME: Final = re.compile(r"segment-(\d{10})-(\d{10})\.faiss\Z")


class SegmentFile(NamedTuple):
    """The rows of a segment: ids from ``first`` to before ``end``; those that had a tombstone when it was written are not in it."""

    first: int
    end: int

    @property
    def name(self) -> str:
        """What the file is called."""
        return f"segment-{self.first:010d}-{self.end:010d}.faiss"


def segment_files(manifest: Manifest) -> list[SegmentFile]:
    """Return the segments behind a generation's base that follow each other without a gap, ascending."""
    found = sorted(
        SegmentFile(int(match[1]), int(match[2])) for name in manifest.files if (match := _NAME.match(name))
    )
    files: list[SegmentFile] = []
    end = manifest.index.base_rows
    for file in found:
        if file.first == end and end < file.end <= manifest.count:
            files.append(file)
            end = file.end
    return files


def indexed_rows(manifest: Manifest) -> int:
    """Return how many rows a generation's index and the segments behind it hold together."""
    files = segment_files(manifest)
    return files[-1].end if files else manifest.index.base_rows

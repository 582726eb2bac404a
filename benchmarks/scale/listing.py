"""The part ``listing``: a build over a source that lists so many made images, none of which has changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.scale.processes import bytes_on_disk, step

BYTES_A_ROW = 600


def needed(rows: int) -> int:
    """Return how many bytes of disk `run` takes at most."""
    return rows * BYTES_A_ROW


def run(work: Path, rows: int, *, repeats: int) -> dict[str, Any]:
    """Make a collection of so many listed images, and build it again."""
    home = work / f"listing-{rows}"
    try:
        made = step("made_source", home, str(rows))
        runs = [step("listed", home, str(rows)) for _ in range(repeats)]
        return {
            "rows": rows,
            "made": made,
            "unchanged": runs,
            "disk_bytes_a_row": round(bytes_on_disk(home) / rows, 1),
        }
    finally:
        shutil.rmtree(home, ignore_errors=True)

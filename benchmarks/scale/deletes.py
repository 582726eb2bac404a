"""The part ``deletes``: of a collection of so many rows a hundredth is deleted in one call, several times."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.scale.made import write_inputs
from benchmarks.scale.processes import step

TIMES = 5
BYTES_A_ROW = 3
"""Times the bytes of a row's float16 vector that its files take, with the input."""

FIXED_BYTES_A_ROW = 700


def needed(rows: int, dim: int) -> int:
    """Return how many bytes of disk `run` takes at most."""
    return rows * (BYTES_A_ROW * 2 * dim + FIXED_BYTES_A_ROW)


def run(work: Path, rows: int, dim: int) -> dict[str, Any]:
    """Build a collection without lists, which deleting does not touch, and delete of it."""
    vectors, keys = write_inputs(work, rows, dim)
    home = work / f"deletes-{rows}"
    try:
        step("build", home, vectors, keys, "flat")
        vectors.unlink()
        return {"rows": rows, "dim": dim, **step("delete", home, str(rows), str(TIMES))}
    finally:
        for path in (vectors, keys):
            path.unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)

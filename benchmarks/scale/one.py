"""The part ``one``: a collection of so many rows is built, asked, grown by a hundredth twenty times, and asked again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale.made import write_inputs
from benchmarks.scale.processes import bytes_on_disk, step

BYTES_A_ROW = 6
"""Times the bytes of a row's vector that files take while a collection is built and grown, with its input; rather too many."""

FIXED_BYTES_A_ROW = 700


def needed(rows: int, dim: int) -> int:
    """Return how many bytes of disk `run` takes at most."""
    return rows * (BYTES_A_ROW * 2 * dim + FIXED_BYTES_A_ROW)


Keep = Callable[[dict[str, Any]], None]
"""Is handed what has been measured so far, after each step."""


def run(work: Path, rows: int, dim: int, kind: str, *, adds: int, keep: Keep) -> dict[str, Any]:
    """Build, ask and change a collection of so many rows, and remove it."""
    vectors, keys = write_inputs(work, rows, dim)
    home = work / f"one-{rows}"
    try:
        facts: dict[str, Any] = {"rows": rows, "dim": dim, "build": step("build", home, vectors, keys, kind)}
        vectors.unlink()
        keys.unlink()
        directory = home / ".retrieve"
        facts["disk"] = {
            path.name: bytes_on_disk(path) if path.is_dir() else path.stat().st_size
            for path in sorted(directory.iterdir())
        }
        facts["disk_bytes_a_row"] = round(bytes_on_disk(directory) / rows, 1)
        keep(facts | reached(facts))
        facts["ask"] = step("ask", home, str(rows))
        keep(facts | reached(facts))
        if adds:
            facts["change"] = step("change", home, str(rows), str(adds))
            facts["disk_bytes_after"] = bytes_on_disk(directory)
            keep(facts | reached(facts))
            facts["ask_after"] = step("ask", home, str(rows))
    finally:
        for path in (vectors, keys):
            path.unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)
    return {**facts, **reached(facts)}


def reached(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that are asked of a collection, from what was measured."""
    found: dict[str, Any] = {"build_cpu_minutes": round(facts["build"]["cpu_s"] / 60, 2)}
    if "change" in facts:
        adds, rows = facts["change"]["adds"], facts["change"]["rows_each"]
        seconds = sorted(add["cpu_s"] for add in adds)
        found["rebuild_over_add"] = round(facts["build"]["cpu_s"] / seconds[len(seconds) // 2], 1)
        found["rebuild_over_mean_add"] = round(facts["build"]["cpu_s"] * len(adds) / sum(seconds), 1)
        written = sum(add["bytes_written"] for add in adds)
        found["bytes_written_over_float16"] = round(
            written / (len(adds) * facts["change"]["float16_bytes_each"]), 2
        )
        found["bytes_written_a_row_added"] = round(written / (len(adds) * rows), 1)
    return found

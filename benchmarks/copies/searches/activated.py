"""Measure what activation and the check add for published images, each alone and together, on the same attacks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from benchmarks.copies.photographs import MOST, gallery
from benchmarks.copies.run import Run

ROWS = 3_000
KIND = "IVF16,PQ8"
ATTACKS = (
    "contrast 2", "brightness 2", "blur", "jpeg 10", "rotation 25", "crop 0.5", "crop 0.2", "text", "emoji", "collage", "screenshot",
    "screen photo",
)  # fmt: skip
"""What is measured: strong ones of each sort."""


def measure(run: Run) -> dict[str, Any]:
    """Activate some images of a compressed collection, and search for altered copies of both, with and without the check."""
    drawn = gallery(run.data, rows=run.gallery or ROWS, originals=MOST)
    folder, published = (
        run.work / f"activated-{len(drawn.names)}" / name for name in ("photos", f"published-{run.number}")
    )
    files = linked(run.data, drawn.names, folder)
    retrieval.build_index(folder, kind=KIND, progress=False)
    if not published.exists():
        retrieval.activate(files[: run.number], out=published, robust=True, progress=False)
    with retrieval.open(folder) as photos:
        report = retrieval.evaluate(photos, attacks=ATTACKS, verify=True, progress=False)
    table: dict[str, dict[str, dict[str, float]]] = {}
    for row in report.attacks:
        if row["measure"] == "recall_at_1":
            table.setdefault(row["attack"], {})[row["stage"]] = {
                "original": row["original"],
                "activated": row["activated"],
            }
    stages = list(table[ATTACKS[0]])
    means = {
        stage: {
            which: round(float(np.mean([row[stage][which] for row in table.values()])), 4)
            for which in ("original", "activated")
        }
        for stage in stages
    }
    result = {
        "list": report.attacks_list, "rows": len(drawn.names), "kind": KIND, "activated": report.attacks[0]["images"],
        "mean recall at 1": means, "by attack": table,
    }  # fmt: skip
    print(json.dumps(means), flush=True)
    return result


def linked(data: Path, names: tuple[str, ...], folder: Path) -> list[Path]:
    """Make links to photographs in one folder, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name.replace("/", "_") for name in names]
    for name, file in zip(names, files, strict=True):
        if not file.is_symlink():
            os.symlink(data / name, file)
    return files

"""Generations to publish: a manifest of three rows, and a few small files."""

from __future__ import annotations

from pathlib import Path

from indexes.generation.manifest import Exact, Manifest, new_generation_dir, publish
from indexes.vectors.space import Space

DIM = 16


def manifest(**changes) -> Manifest:
    index = Exact(dim=DIM, base_rows=0, recall_target=0.95)
    fields = {
        "space": Space(name="toy", dim=DIM, fingerprint="f"),
        "count": 3,
        "live": 3,
        "generation": 1,
        "index": index,
    }
    return Manifest(**(fields | changes))


def published(home: Path, number: int = 1, **files: str) -> Manifest:
    prepared = new_generation_dir(home, number)
    for name, text in (files or {"report": f"of generation {number}"}).items():
        (prepared / name).write_text(text)
    return publish(home, manifest(generation=number), prepared)

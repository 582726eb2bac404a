"""What tests of several sources share: a second folder's names, and what a manifest records."""

from __future__ import annotations

import zipfile
from pathlib import Path

from indexes.generation import read_manifest
from tests.retrieval.folders import picture

FIXTURES = Path(__file__).parents[3] / "fixtures"
MORE = [f"more/{number}.png" for number in range(4)]


def sources_of(index: Path) -> list[tuple[int, str, str | None]]:
    return [(source.number, source.type, source.path) for source in read_manifest(index).sources]


def zipped(path: Path, count: int, *, first: int = 0) -> Path:
    """Write a ZIP file of pictures."""
    with zipfile.ZipFile(path, "w") as file:
        for number in range(first, first + count):
            with file.open(f"{number}.png", "w") as member:
                picture(number).save(member, format="PNG")
    return path

"""What the tests of builds share: a gallery's files, how it is built, and the paths that it holds."""

from __future__ import annotations

from pathlib import Path

import retrieval
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import ids_by_key, picture

NAMES = [f"{folder}/{number}.png" for folder in ("a", "b") for number in range(6)]


def bitmaps(folder: Path, count: int) -> Path:
    """Make a folder of images whose files have all one size."""
    folder.mkdir()
    for number in range(count):
        picture(number).save(folder / f"{number}.bmp")
    return folder


def build(folder: Path, encoder: FakeEncoder, **options: object) -> retrieval.BuildReport:
    return retrieval.build_index(folder, encoder=encoder, **options)


def paths(folder: Path, encoder: FakeEncoder) -> dict[str, int]:
    with retrieval.open(folder, encoder=encoder) as collection:
        return ids_by_key(collection)

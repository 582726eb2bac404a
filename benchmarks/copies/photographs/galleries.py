"""Choose a gallery, altered originals in it, and as many photographs that are not in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.copies.photographs.chosen import SEED
from tools.train_nano.inputs.data import list_photos

ROWS = 30_000
MOST = 500  # originals; fewer are the first of them, in the same gallery
PICTURES = 20_000  # of that gallery: those whose false pairs are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Names of photographs, none of them twice.

    Attributes:
        names: of the gallery: the originals first, then others that `nano` was not trained on, then training photographs.
        originals: how many originals there are.
        untrained: how many of the gallery `nano` was not trained on.
        absent: photographs that are not in the gallery, as many as the originals; `nano` was not trained on them either.
    """

    names: tuple[str, ...]
    originals: int
    untrained: int
    absent: tuple[str, ...]


@cache
def gallery(data: Path, *, rows: int, originals: int) -> Gallery:
    """Draw a gallery by a seed.

    Args:
        data: the folder of photographs.
        rows: of the gallery; fewer where the data has fewer.
        originals: how many of its photographs are altered.
    """
    photos = list_photos(data)
    rng = np.random.default_rng(SEED)
    free = _drawn([photo.file for photo in photos if photo.split != "train"], rng)
    trained = _drawn([photo.file for photo in photos if photo.split == "train"], rng)
    known = free[originals:]
    names = (*known, *trained)[:rows]
    return Gallery(
        names=names,
        originals=originals,
        untrained=min(len(known), len(names)),
        absent=tuple(free[:originals]),
    )


def unmeasured(data: Path) -> list[str]:
    """Return photographs for fitting: no copy of them is measured, and no false pair counted; a gallery may hold them."""
    return list(gallery(data, rows=10**9, originals=MOST).names[PICTURES:])


def _drawn(names: list[str], rng: np.random.Generator) -> list[str]:
    return [names[place] for place in rng.permutation(len(names))]

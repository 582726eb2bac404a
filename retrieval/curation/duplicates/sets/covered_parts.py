"""Say whether a caption or a sticker covers a part of one of two pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval import matching

if TYPE_CHECKING:
    from retrieval.curation.duplicates.images import Pictures

__all__ = ["is_part_covered"]

_LEVELS: Final = 6
"""Levels of brightness by which a cell must vary more or less than in the other picture to count as changed."""

_CHANGED: Final = 0.15
"""Share of changed cells from which the pictures are compared again: saving again changes fewer."""

_AGREED: Final = 0.9
"""Share of two pictures that agrees, below which something covers a part of one."""


def is_part_covered(pictures: Pictures, one: int, other: int) -> bool:
    """Say whether something was laid over one of two whole pictures. Which of them has it is not told.

    Args:
        pictures: reads the images.
        one, other: two images that were compared by their geometry.
    """
    facts = [pictures.facts(number) for number in (one, other)]
    cells = [np.frombuffer(known.busy, dtype=np.uint8).astype(int) for known in facts if known is not None]
    if len(cells) < 2 or float((abs(cells[0] - cells[1]) >= _LEVELS).mean()) < _CHANGED:
        return False  # most copies end here, without another comparison
    return matching.compare(*pictures.features((one, other))).agreement < _AGREED

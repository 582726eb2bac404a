"""Say whether a part of one of two pictures is hidden in the other, or may differ by less than is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval import matching

if TYPE_CHECKING:
    from retrieval.curation.duplicates.images import Pictures
    from retrieval.matching import Features

_LEVELS: Final = 6
"""Levels of brightness by which a cell must vary more or less than in the other picture to count as changed."""

_CHANGED: Final = 0.02
"""Share of changed cells from which the pictures are compared again: most copies are not."""

_BLOCK: Final = 0.025
"""Share of two pictures that one block takes in which they differ, from which something covers a part of one."""

_AGREED: Final = 0.9
"""Share of two pictures that agrees, below which what was laid over one lies in many places."""

_CELL: Final = 16
"""Pixels a side of a cell in which text is looked for."""

_PAPER: Final = 12
"""Grey levels to either side of the paper's."""


def difference(pictures: Pictures, one: int, other: int) -> str:
    """Say in a few words what may differ between two whole pictures that are one; empty where nothing does.

    A caption or a sticker may cover a part of one; which of them has it is not told. Two pages of text may differ by a number
    that is too small to be seen at the size at which pictures are compared.

    Args:
        pictures: reads the images.
        one, other: two images that were compared by their geometry.
    """
    facts = [pictures.facts(number) for number in (one, other)]
    cells = [np.frombuffer(known.busy, dtype=np.uint8).astype(int) for known in facts if known is not None]
    if len(cells) < 2:
        return ""  # it is equal to an image that was compared
    features = pictures.features((one, other))
    if all(is_page_of_text(picture) for picture in features):
        return "or a page with the same lines"
    if matching.is_drawn_on(*features):
        return "but a part differs"
    if float((abs(cells[0] - cells[1]) >= _LEVELS).mean()) < _CHANGED:
        return ""  # most copies end here, without another comparison
    covered = matching.covered_share(*features) >= _BLOCK or matching.compare(*features).agreement < _AGREED
    return "but a part differs" if covered else ""


def is_page_of_text(picture: Features) -> bool:
    """Say whether a picture is a page: much paper, and ink that lies thinly in many places, with paper between."""
    grey = picture.grey
    height, width = (side // _CELL * _CELL for side in grey.shape)
    if min(height, width) < 4 * _CELL:
        return False
    levels = np.bincount(grey.ravel(), minlength=256)
    paper = abs(grey[:height, :width].astype(int) - int(levels.argmax())) <= _PAPER
    cells = paper.reshape(height // _CELL, _CELL, width // _CELL, _CELL).mean(axis=(1, 3))  # (r, c)
    inked = cells < 0.97
    thin = inked & (cells > 0.25)
    return bool(paper.mean() > 0.6 and inked.mean() > 0.15 and thin.sum() > 0.85 * inked.sum())

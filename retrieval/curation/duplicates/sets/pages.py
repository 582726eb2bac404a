"""Say what an image shows beyond another one: a picture of more, or no more than a border, bars or the page that it was set into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval import matching
from retrieval.curation.duplicates.images import GRID
from retrieval.curation.duplicates.judgements import Judgement, outside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.curation.duplicates.images import Pictures

_BUSY: Final = 6
"""Levels of brightness by which a cell varies that shows something."""

_PICTURE: Final = 0.5
"""Share of the cells outside that show something, from which they are a picture and no border."""


def has_more(pictures: Pictures, row: int, found: Judgement) -> bool:
    """Say whether what only an image shows is a picture, and no border or bar.

    Args:
        pictures: reads the images.
        row: the image; one that was compared.
        found: what it is to the other one.
    """
    beyond = _beyond(pictures, row, found)
    return len(beyond) > 0 and float((beyond >= _BUSY).mean()) >= _PICTURE


def is_page(pictures: Pictures, row: int, found: Judgement) -> bool:
    """Say whether an image is a page that another was set into: with a border or bars, or beside other pictures.

    Args:
        pictures: reads the images.
        row: the image; one that was compared.
        found: what the other one is to it.
    """
    is_even = may_be_page(pictures, row, found)
    if found.outline is None:
        return is_even
    (picture,) = pictures.features((row,))
    if is_even and not matching.goes_on(picture, found.outline):
        return True
    return matching.is_set_in(picture, found.outline)


def may_be_page(pictures: Pictures, row: int, found: Judgement) -> bool:
    """Say whether most of what only an image shows is even: a border, or the ground of a thing of which the other is a crop.

    Args:
        pictures: reads the images.
        row: the image; one that was compared.
        found: what the other one is to it.
    """
    beyond = _beyond(pictures, row, found.reversed())
    return len(beyond) > 0 and float((beyond == 0).mean()) >= _PICTURE


def _beyond(pictures: Pictures, row: int, found: Judgement) -> NDArray[np.uint8]:
    """Return how much the cells of an image vary that the other one does not show."""
    facts, turned = pictures.facts(row), found.reversed()
    if facts is None or turned.outline is None:
        return np.empty(0, np.uint8)
    return np.frombuffer(facts.busy, dtype=np.uint8)[outside(turned.outline, GRID).ravel()]

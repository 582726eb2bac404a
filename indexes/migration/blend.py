"""Hold the neighbours found in a gallery whose rows are of two spaces, or that is searched by parts of images, too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import Bitmap, Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """The neighbours of some queries in a mixed gallery, best first.

    Attributes:
        ids: ``(q, k)`` int64, padded with -1.
        scores: ``(q, k)`` float32 on the new space's cosine scale; padded with -inf.
        cosines: ``(q, k)`` float32, each within the space of its row; padded with -inf.
        renewed: ``(q, k)`` flags: the row is one of the new space.
        views: ``(q, k)`` int64: the view that is nearer than the whole image; -1 for the whole. None where no views are searched.
    """

    ids: Ids
    scores: NDArray[np.float32]
    cosines: NDArray[np.float32]
    renewed: Bitmap
    views: Ids | None = None

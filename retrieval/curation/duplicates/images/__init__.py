"""Read images, once, and keep what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.images.image_facts import GRID as GRID
    from retrieval.curation.duplicates.images.image_rows import ImageRows as ImageRows
    from retrieval.curation.duplicates.images.perceptual_hash import (
        distance as distance,
        picture_hash as picture_hash,
    )
    from retrieval.curation.duplicates.images.pictures import Pictures as Pictures
    from retrieval.curation.duplicates.images.results import Results as Results

lazy(__name__)

"""Read images, once, and keep what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.images.image_facts import GRID
    from retrieval.curation.duplicates.images.image_rows import ImageRows
    from retrieval.curation.duplicates.images.perceptual_hash import distance, picture_hash
    from retrieval.curation.duplicates.images.pictures import Pictures
    from retrieval.curation.duplicates.images.results import Results

__all__ = ["GRID", "ImageRows", "Pictures", "Results", "distance", "picture_hash"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "image_facts": ("GRID",),
            "image_rows": ("ImageRows",),
            "perceptual_hash": ("distance", "picture_hash"),
            "pictures": ("Pictures",),
            "results": ("Results",),
        },
    )

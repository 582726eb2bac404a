"""A map of a collection: images that are alike lie together on a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.map.collection_map import map_images
    from retrieval.curation.map.image_map import ImageMap
    from retrieval.curation.map.map_page import MapPage, served_head

__all__ = ["ImageMap", "MapPage", "map_images", "served_head"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "collection_map": ("map_images",),
            "image_map": ("ImageMap",),
            "map_page": ("MapPage", "served_head"),
        },
    )

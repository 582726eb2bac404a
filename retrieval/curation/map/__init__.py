"""A map of a collection: images that are alike lie together on a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.map.collection_map import map_images as map_images
    from retrieval.curation.map.image_map import ImageMap as ImageMap
    from retrieval.curation.map.map_page import MapPage as MapPage, served_head as served_head

lazy(__name__)

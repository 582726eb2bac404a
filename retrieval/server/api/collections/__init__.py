"""Answer for whole collections: facts, folders, duplicates to review, maps."""

from __future__ import annotations

from retrieval.server.api.collections import collections, maps, reviews
from retrieval.server.api.collections.maps import named_maps
from retrieval.server.api.collections.reviews import OWN_PAGES_ONLY, Searches

__all__ = ["OWN_PAGES_ONLY", "Searches", "collections", "maps", "named_maps", "reviews"]

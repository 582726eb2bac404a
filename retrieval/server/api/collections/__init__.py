"""Answer for whole collections: facts, folders, duplicates to review, maps."""

from __future__ import annotations

from retrieval.server.api.collections import collections as collections, maps as maps, reviews as reviews
from retrieval.server.api.collections.maps import named_maps as named_maps
from retrieval.server.api.collections.reviews import OWN_PAGES_ONLY as OWN_PAGES_ONLY, Searches as Searches

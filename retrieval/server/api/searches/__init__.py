"""Answer searches and listings, page by page."""

from __future__ import annotations

from retrieval.server.api.searches import clip_retrieval, listings, searches
from retrieval.server.api.searches.queries import folder_of

__all__ = ["clip_retrieval", "folder_of", "listings", "searches"]

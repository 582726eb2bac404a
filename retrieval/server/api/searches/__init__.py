"""Answer searches and listings, page by page."""

from __future__ import annotations

from retrieval.server.api.searches import (
    clip_retrieval as clip_retrieval,
    listings as listings,
    searches as searches,
)
from retrieval.server.api.searches.queries import folder_of as folder_of

"""Lists of paths and URLs as a place that images come from."""

from __future__ import annotations

from retrieval.sources.listings.lines import CAPTIONS, Line, is_listing_name, read_lines
from retrieval.sources.listings.places import Places
from retrieval.sources.listings.source import ListingSource

__all__ = ["CAPTIONS", "Line", "ListingSource", "Places", "is_listing_name", "read_lines"]

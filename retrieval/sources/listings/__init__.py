"""Lists of paths and URLs as a place that images come from."""

from __future__ import annotations

from retrieval.sources.listings.lines import (
    CAPTIONS as CAPTIONS,
    Line as Line,
    is_listing_name as is_listing_name,
    read_lines as read_lines,
)
from retrieval.sources.listings.places import Places as Places
from retrieval.sources.listings.source import ListingSource as ListingSource

"""Lists of paths and URLs as a place that images come from."""

from __future__ import annotations

from retrieval.sources.listings.lines import Line, is_listing_name, read_lines

__all__ = ["Line", "is_listing_name", "read_lines"]

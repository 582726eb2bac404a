"""Search the rows of a generation by the structure of its index; each search ends with exact cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.search.searchers import funnel
    from indexes.search.searchers.exact import ExactSearcher, is_sooner
    from indexes.search.searchers.funnel import Funnel
    from indexes.search.searchers.inverted import InvertedSearcher
    from indexes.search.searchers.opening import open_searcher
    from indexes.search.searchers.recent_rows import WithRecent
    from indexes.search.searchers.searcher import Searcher, Wanted
    from indexes.search.searchers.segments import WithSegments
    from indexes.search.searchers.widths import (
        FACTOR,
        TUNED_K,
        lengthened,
        prefixes_of,
        reaching,
        require_prefix,
        require_whole,
        unmeasured,
    )

__all__ = [
    "FACTOR",
    "TUNED_K",
    "ExactSearcher",
    "Funnel",
    "InvertedSearcher",
    "Searcher",
    "Wanted",
    "WithRecent",
    "WithSegments",
    "funnel",
    "is_sooner",
    "lengthened",
    "open_searcher",
    "prefixes_of",
    "reaching",
    "require_prefix",
    "require_whole",
    "unmeasured",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "exact": ("ExactSearcher", "is_sooner"),
            "funnel": ("Funnel",),
            "inverted": ("InvertedSearcher",),
            "opening": ("open_searcher",),
            "recent_rows": ("WithRecent",),
            "searcher": ("Searcher", "Wanted"),
            "segments": ("WithSegments",),
            "widths": (
                "FACTOR",
                "TUNED_K",
                "lengthened",
                "prefixes_of",
                "reaching",
                "require_prefix",
                "require_whole",
                "unmeasured",
            ),
        },
    )

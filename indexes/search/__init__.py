"""One opened generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.search import funnel
    from indexes.search.funnel import Funnel
    from indexes.search.generation import Generation
    from indexes.search.prefix_scan import Narrow, scanned
    from indexes.search.shard_search import joined, search_shards, shard_candidates
    from indexes.search.widths import (
        FACTOR,
        TUNED_K,
        lengthened,
        prefixes_of,
        reaching,
        require_whole,
        unmeasured,
    )
else:
    __getattr__ = lazy(
        __name__,
        {
            "funnel": ("Funnel",),
            "generation": ("Generation",),
            "prefix_scan": ("Narrow", "scanned"),
            "shard_search": ("joined", "search_shards", "shard_candidates"),
            "widths": (
                "FACTOR",
                "TUNED_K",
                "lengthened",
                "prefixes_of",
                "reaching",
                "require_whole",
                "unmeasured",
            ),
        },
    )

__all__ = [
    "FACTOR",
    "TUNED_K",
    "Funnel",
    "Generation",
    "Narrow",
    "funnel",
    "joined",
    "lengthened",
    "prefixes_of",
    "reaching",
    "require_whole",
    "scanned",
    "search_shards",
    "shard_candidates",
    "unmeasured",
]

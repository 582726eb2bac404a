"""One opened generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.search.device import ServingCard
    from indexes.search.generation import Generation
    from indexes.search.prefix_scan import Narrow, scanned
    from indexes.search.searchers import (
        FACTOR,
        TUNED_K,
        Funnel,
        funnel,
        lengthened,
        prefixes_of,
        reaching,
        require_whole,
        unmeasured,
    )
    from indexes.search.shard_search import (
        candidates_of_each,
        joined,
        search_shards,
        shard_candidates,
        shortlists,
    )
    from indexes.search.united_shards import JOINED_BYTES, UnitedShards
else:
    __getattr__ = lazy(
        __name__,
        {
            "device": ("ServingCard",),
            "generation": ("Generation",),
            "prefix_scan": ("Narrow", "scanned"),
            "searchers": (
                "FACTOR",
                "Funnel",
                "TUNED_K",
                "funnel",
                "lengthened",
                "prefixes_of",
                "reaching",
                "require_whole",
                "unmeasured",
            ),
            "shard_search": (
                "candidates_of_each",
                "joined",
                "search_shards",
                "shard_candidates",
                "shortlists",
            ),
            "united_shards": ("JOINED_BYTES", "UnitedShards"),
        },
    )

__all__ = [
    "FACTOR",
    "JOINED_BYTES",
    "TUNED_K",
    "Funnel",
    "Generation",
    "Narrow",
    "ServingCard",
    "UnitedShards",
    "candidates_of_each",
    "funnel",
    "joined",
    "lengthened",
    "prefixes_of",
    "reaching",
    "require_whole",
    "scanned",
    "search_shards",
    "shard_candidates",
    "shortlists",
    "unmeasured",
]

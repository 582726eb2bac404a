"""One opened generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.search.device import ServingCard as ServingCard
    from indexes.search.generation import Generation as Generation
    from indexes.search.prefix_scan import Narrow as Narrow, scanned as scanned
    from indexes.search.searchers import (
        FACTOR as FACTOR,
        TUNED_K as TUNED_K,
        Funnel as Funnel,
        funnel as funnel,
        lengthened as lengthened,
        prefixes_of as prefixes_of,
        reaching as reaching,
        require_whole as require_whole,
        unmeasured as unmeasured,
    )
    from indexes.search.shard_search import (
        candidates_of_each as candidates_of_each,
        joined as joined,
        search_shards as search_shards,
        shard_candidates as shard_candidates,
        shortlists as shortlists,
    )
    from indexes.search.united_shards import JOINED_BYTES as JOINED_BYTES, UnitedShards as UnitedShards

lazy(__name__)

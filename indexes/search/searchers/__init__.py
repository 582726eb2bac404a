"""Search the rows of a generation by the structure of its index; each search ends with exact cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.search.searchers import funnel as funnel
    from indexes.search.searchers.exact import ExactSearcher as ExactSearcher, is_sooner as is_sooner
    from indexes.search.searchers.funnel import Funnel as Funnel
    from indexes.search.searchers.inverted import InvertedSearcher as InvertedSearcher
    from indexes.search.searchers.opening import open_searcher as open_searcher
    from indexes.search.searchers.recent_rows import WithRecent as WithRecent
    from indexes.search.searchers.searcher import Searcher as Searcher, Wanted as Wanted
    from indexes.search.searchers.segments import WithSegments as WithSegments
    from indexes.search.searchers.widths import (
        FACTOR as FACTOR,
        TUNED_K as TUNED_K,
        lengthened as lengthened,
        prefixes_of as prefixes_of,
        reaching as reaching,
        require_prefix as require_prefix,
        require_whole as require_whole,
        unmeasured as unmeasured,
    )

lazy(__name__)

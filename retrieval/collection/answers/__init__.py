"""Found rows become hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.answers.folding import count_searched as count_searched, find_hits as find_hits
    from retrieval.collection.answers.galleries import collection_html as collection_html
    from retrieval.collection.answers.hit import (
        Hit as Hit,
        set_match as set_match,
        with_rank as with_rank,
        with_verdict as with_verdict,
    )
    from retrieval.collection.answers.hit_files import link_files as link_files
    from retrieval.collection.answers.hits import Hits as Hits
    from retrieval.collection.answers.named_hits import DEEPER as DEEPER, find_named_hits as find_named_hits
    from retrieval.collection.answers.origin import (
        Origin as Origin,
        RowImage as RowImage,
        link_of as link_of,
        origin_of as origin_of,
    )
    from retrieval.collection.answers.titles import label as label, sign as sign, title as title

lazy(__name__)

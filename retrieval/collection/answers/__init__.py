"""Found rows become hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.answers.folding import count_searched, find_hits
    from retrieval.collection.answers.galleries import collection_html
    from retrieval.collection.answers.hit import Hit, set_match, with_rank, with_verdict
    from retrieval.collection.answers.hit_files import link_files
    from retrieval.collection.answers.hits import Hits
    from retrieval.collection.answers.named_hits import DEEPER, find_named_hits
    from retrieval.collection.answers.origin import Origin, origin_of
    from retrieval.collection.answers.titles import label, sign, title

__all__ = [
    "DEEPER",
    "Hit",
    "Hits",
    "Origin",
    "collection_html",
    "count_searched",
    "find_hits",
    "find_named_hits",
    "label",
    "link_files",
    "origin_of",
    "set_match",
    "sign",
    "title",
    "with_rank",
    "with_verdict",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "folding": ("count_searched", "find_hits"),
            "galleries": ("collection_html",),
            "hit": ("Hit", "set_match", "with_rank", "with_verdict"),
            "hit_files": ("link_files",),
            "hits": ("Hits",),
            "named_hits": ("DEEPER", "find_named_hits"),
            "origin": ("Origin", "origin_of"),
            "titles": ("label", "sign", "title"),
        },
    )

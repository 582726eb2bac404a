"""Judge hits: are they what was asked, do they show the same picture?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.verdicts.feature_store import FeatureStore
    from retrieval.collection.verdicts.matches import judge_of
    from retrieval.collection.verdicts.query_parts import with_parts
    from retrieval.collection.verdicts.verification import CHECKED, checked_hits, pictured, query_picture

__all__ = ["CHECKED", "FeatureStore", "checked_hits", "judge_of", "pictured", "query_picture", "with_parts"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "feature_store": ("FeatureStore",),
            "matches": ("judge_of",),
            "query_parts": ("with_parts",),
            "verification": ("CHECKED", "checked_hits", "pictured", "query_picture"),
        },
    )

"""Compare two pictures: same picture, same scene, same object, and how one lies on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.matching.comparison import Verdict, compare
    from retrieval.matching.covers import covered_share, is_drawn_on
    from retrieval.matching.local_features import Features, features
    from retrieval.matching.opencv import available
    from retrieval.matching.seams import is_set_in

__all__ = [
    "Features",
    "Verdict",
    "available",
    "compare",
    "covered_share",
    "features",
    "is_drawn_on",
    "is_set_in",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "comparison": ("Verdict", "compare"),
            "covers": ("covered_share", "is_drawn_on"),
            "local_features": ("Features", "features"),
            "opencv": ("available",),
            "seams": ("is_set_in",),
        },
    )

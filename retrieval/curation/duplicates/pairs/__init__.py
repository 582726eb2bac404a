"""Find pairs of images that may be alike, compare them, and group them around the one that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.pairs.candidates import AT_MOST, Candidates, between, within
    from retrieval.curation.duplicates.pairs.grouping import Star, stars, unlike_parts
    from retrieval.curation.duplicates.pairs.pair_checks import GeometryCheck, HashCheck, PairChecks
    from retrieval.curation.duplicates.pairs.same_images import Classes
    from retrieval.curation.duplicates.pairs.thresholds import calibration, calibration_file

__all__ = [
    "AT_MOST",
    "Candidates",
    "Classes",
    "GeometryCheck",
    "HashCheck",
    "PairChecks",
    "Star",
    "between",
    "calibration",
    "calibration_file",
    "stars",
    "unlike_parts",
    "within",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "candidates": ("AT_MOST", "Candidates", "between", "within"),
            "grouping": ("Star", "stars", "unlike_parts"),
            "pair_checks": ("GeometryCheck", "HashCheck", "PairChecks"),
            "same_images": ("Classes",),
            "thresholds": ("calibration", "calibration_file"),
        },
    )

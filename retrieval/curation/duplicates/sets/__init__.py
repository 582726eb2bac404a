"""Make the sets that are reported: who stays, why, and as what they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.sets.image_sets import KINDS, DuplicateImage, DuplicateSet
    from retrieval.curation.duplicates.sets.keep_rules import KEEP, check_rule
    from retrieval.curation.duplicates.sets.report import Duplicates
    from retrieval.curation.duplicates.sets.reported_sets import Member, ReportedSets

__all__ = [
    "KEEP",
    "KINDS",
    "DuplicateImage",
    "DuplicateSet",
    "Duplicates",
    "Member",
    "ReportedSets",
    "check_rule",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "image_sets": ("KINDS", "DuplicateImage", "DuplicateSet"),
            "keep_rules": ("KEEP", "check_rule"),
            "report": ("Duplicates",),
            "reported_sets": ("Member", "ReportedSets"),
        },
    )

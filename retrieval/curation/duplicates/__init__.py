"""Sets of the same bytes, pixels, picture or scene: find, review, move away and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.finding import duplicates
    from retrieval.curation.duplicates.judgements import (
        DECISIONS,
        Decision,
        Decisions,
        parse_decisions,
        read_decisions,
        write_decisions,
    )
    from retrieval.curation.duplicates.moving import UNDO, MoveReport, undo_moves
    from retrieval.curation.duplicates.review import review_html, review_policy
    from retrieval.curation.duplicates.sets import KEEP, KINDS, DuplicateImage, Duplicates, DuplicateSet

__all__ = [
    "DECISIONS",
    "KEEP",
    "KINDS",
    "UNDO",
    "Decision",
    "Decisions",
    "DuplicateImage",
    "DuplicateSet",
    "Duplicates",
    "MoveReport",
    "duplicates",
    "parse_decisions",
    "read_decisions",
    "review_html",
    "review_policy",
    "undo_moves",
    "write_decisions",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "judgements": (
                "DECISIONS",
                "Decision",
                "Decisions",
                "parse_decisions",
                "read_decisions",
                "write_decisions",
            ),
            "finding": ("duplicates",),
            "moving": ("UNDO", "MoveReport", "undo_moves"),
            "review": ("review_html", "review_policy"),
            "sets": ("KEEP", "KINDS", "DuplicateImage", "DuplicateSet", "Duplicates"),
        },
    )

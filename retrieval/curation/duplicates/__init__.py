"""Sets of the same bytes, pixels, picture or scene: find, review, move away and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.decisions import (
        DECISIONS,
        Decision,
        Decisions,
        parse_decisions,
        read_decisions,
        write_decisions,
    )
    from retrieval.curation.duplicates.finding import duplicates
    from retrieval.curation.duplicates.image_sets import KINDS, DuplicateImage, DuplicateSet
    from retrieval.curation.duplicates.keep_rules import KEEP
    from retrieval.curation.duplicates.moves import UNDO, MoveReport, undo_moves
    from retrieval.curation.duplicates.report import Duplicates
    from retrieval.curation.duplicates.review_page import review_html, review_policy

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
            "decisions": (
                "DECISIONS",
                "Decision",
                "Decisions",
                "parse_decisions",
                "read_decisions",
                "write_decisions",
            ),
            "finding": ("duplicates",),
            "keep_rules": ("KEEP",),
            "moves": ("UNDO", "MoveReport", "undo_moves"),
            "image_sets": ("KINDS", "DuplicateImage", "DuplicateSet"),
            "report": ("Duplicates",),
            "review_page": ("review_html", "review_policy"),
        },
    )

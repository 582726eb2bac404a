"""Say what two images are to each other: what a comparison found, and what people decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.judgements.decisions import (
        DECISIONS,
        Decision,
        Decisions,
        Judged,
        parse_decisions,
        read_decisions,
        write_decisions,
    )
    from retrieval.curation.duplicates.judgements.judgements import (
        NOTHING,
        Judgement,
        Overlay,
        common_share,
        outside,
    )

__all__ = [
    "DECISIONS",
    "NOTHING",
    "Decision",
    "Decisions",
    "Judged",
    "Judgement",
    "Overlay",
    "common_share",
    "outside",
    "parse_decisions",
    "read_decisions",
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
                "Judged",
                "parse_decisions",
                "read_decisions",
                "write_decisions",
            ),
            "judgements": ("NOTHING", "Judgement", "Overlay", "common_share", "outside"),
        },
    )

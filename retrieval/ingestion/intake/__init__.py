"""Take new images into the store: recognised by content, or decoded and encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.intake.intake import Intake

__all__ = ["Intake"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "intake": ("Intake",),
        },
    )

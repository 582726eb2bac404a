"""Two encoders over the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.compare.comparing import compare
    from retrieval.curation.compare.comparison import (
        ComparedGroup,
        ComparedImage,
        ComparedQuality,
        ComparedWord,
        ComparedWords,
        Comparison,
    )

__all__ = [
    "ComparedGroup",
    "ComparedImage",
    "ComparedQuality",
    "ComparedWord",
    "ComparedWords",
    "Comparison",
    "compare",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "comparing": ("compare",),
            "comparison": (
                "ComparedGroup",
                "ComparedImage",
                "ComparedQuality",
                "ComparedWord",
                "ComparedWords",
                "Comparison",
            ),
        },
    )

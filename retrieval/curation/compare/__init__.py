"""Two encoders over the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.compare.comparing import compare as compare
    from retrieval.curation.compare.comparison import (
        ComparedGroup as ComparedGroup,
        ComparedImage as ComparedImage,
        ComparedQuality as ComparedQuality,
        ComparedWord as ComparedWord,
        ComparedWords as ComparedWords,
        Comparison as Comparison,
    )

lazy(__name__)

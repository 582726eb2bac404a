"""Judge hits: are they what was asked, do they show the same picture?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.verdicts.feature_store import FeatureStore as FeatureStore
    from retrieval.collection.verdicts.matches import judge_of as judge_of
    from retrieval.collection.verdicts.query_parts import with_parts as with_parts
    from retrieval.collection.verdicts.verification import (
        CHECKED as CHECKED,
        checked_hits as checked_hits,
        pictured as pictured,
        query_picture as query_picture,
    )

lazy(__name__)

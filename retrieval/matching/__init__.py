"""Compare two pictures: same picture, same scene, same object, and how one lies on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.matching.comparison import (
        Verdict as Verdict,
        compare as compare,
        verified_from as verified_from,
    )
    from retrieval.matching.covers import covered_share as covered_share, is_drawn_on as is_drawn_on
    from retrieval.matching.local_features import Features as Features, features as features
    from retrieval.matching.opencv import available as available
    from retrieval.matching.seams import goes_on as goes_on, is_set_in as is_set_in

lazy(__name__)

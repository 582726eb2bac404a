"""Find pairs of images that may be alike, compare them, and group them around the one that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.pairs.candidates import (
        AT_MOST as AT_MOST,
        Candidates as Candidates,
        between as between,
        within as within,
    )
    from retrieval.curation.duplicates.pairs.grouping import (
        Star as Star,
        stars as stars,
        unlike_parts as unlike_parts,
    )
    from retrieval.curation.duplicates.pairs.pair_checks import (
        GeometryCheck as GeometryCheck,
        HashCheck as HashCheck,
        PairChecks as PairChecks,
    )
    from retrieval.curation.duplicates.pairs.same_images import Classes as Classes
    from retrieval.curation.duplicates.pairs.thresholds import (
        calibration as calibration,
        calibration_file as calibration_file,
    )

lazy(__name__)

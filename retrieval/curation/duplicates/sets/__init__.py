"""Make the sets that are reported: who stays, why, and as what they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.sets.image_sets import (
        KINDS as KINDS,
        DuplicateImage as DuplicateImage,
        DuplicateSet as DuplicateSet,
    )
    from retrieval.curation.duplicates.sets.keep_rules import KEEP as KEEP, check_rule as check_rule
    from retrieval.curation.duplicates.sets.report import Duplicates as Duplicates
    from retrieval.curation.duplicates.sets.reported_sets import (
        Member as Member,
        ReportedSets as ReportedSets,
    )

lazy(__name__)

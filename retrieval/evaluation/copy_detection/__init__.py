"""How well are copies told from other images, on queries whose originals are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.evaluation.copy_detection.candidates import in_background as in_background
    from retrieval.evaluation.copy_detection.curves import (
        Interval as Interval,
        Ranked as Ranked,
        intervals as intervals,
        threshold_at as threshold_at,
    )
    from retrieval.evaluation.copy_detection.detection import DEPTH as DEPTH, measure as measure
    from retrieval.evaluation.copy_detection.first_verified import FirstVerified as FirstVerified
    from retrieval.evaluation.copy_detection.query_files import encoded as encoded, files_below as files_below
    from retrieval.evaluation.copy_detection.report import (
        CopyDetection as CopyDetection,
        PairRanking as PairRanking,
        WorstPair as WorstPair,
    )

lazy(__name__)

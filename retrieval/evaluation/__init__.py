"""How well does it find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.evaluation.evaluation import Evaluation as Evaluation, evaluate as evaluate
    from retrieval.evaluation.given_labels import (
        KnownLabels as KnownLabels,
        LabelsLike as LabelsLike,
        known_labels as known_labels,
    )
    from retrieval.evaluation.match_calibration import (
        MatchCalibration as MatchCalibration,
        calibrate_matches as calibrate_matches,
    )
    from retrieval.evaluation.plots import figure as figure
    from retrieval.evaluation.survival import little_to_gain as little_to_gain

lazy(__name__)

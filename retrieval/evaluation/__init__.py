"""How well does it find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.evaluation.evaluation import Evaluation, evaluate
    from retrieval.evaluation.given_labels import KnownLabels, LabelsLike, known_labels
    from retrieval.evaluation.match_calibration import MatchCalibration, calibrate_matches
    from retrieval.evaluation.plots import figure
    from retrieval.evaluation.survival import little_to_gain

__all__ = [
    "Evaluation",
    "KnownLabels",
    "LabelsLike",
    "MatchCalibration",
    "calibrate_matches",
    "evaluate",
    "figure",
    "known_labels",
    "little_to_gain",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "evaluation": ("Evaluation", "evaluate"),
            "given_labels": ("KnownLabels", "LabelsLike", "known_labels"),
            "match_calibration": ("MatchCalibration", "calibrate_matches"),
            "plots": ("figure",),
            "survival": ("little_to_gain",),
        },
    )

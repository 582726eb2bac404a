"""Fit upgrade methods and measure them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.trial.maps import CLEARLY, EXTENDING, METHODS, Extension, refusal_of
    from retrieval.upgrades.trial.measurement import (
        POINTS,
        Measured,
        backfill_curve,
        background_of,
        calibrate,
        compare_encoders,
    )
    from retrieval.upgrades.trial.past_samples import against_earlier, keep_sample
    from retrieval.upgrades.trial.questions import Questions, labels_of, questions_of, require_enough
    from retrieval.upgrades.trial.sample import Sample, draw, encode_sample
    from retrieval.upgrades.trial.trial import Trial, try_methods

__all__ = [
    "CLEARLY",
    "EXTENDING",
    "METHODS",
    "POINTS",
    "Extension",
    "Measured",
    "Questions",
    "Sample",
    "Trial",
    "against_earlier",
    "backfill_curve",
    "background_of",
    "calibrate",
    "compare_encoders",
    "draw",
    "encode_sample",
    "keep_sample",
    "labels_of",
    "questions_of",
    "refusal_of",
    "require_enough",
    "try_methods",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "maps": ("CLEARLY", "EXTENDING", "Extension", "METHODS", "refusal_of"),
            "measurement": (
                "Measured",
                "POINTS",
                "backfill_curve",
                "background_of",
                "calibrate",
                "compare_encoders",
            ),
            "past_samples": ("against_earlier", "keep_sample"),
            "questions": ("Questions", "labels_of", "questions_of", "require_enough"),
            "sample": ("Sample", "draw", "encode_sample"),
            "trial": ("Trial", "try_methods"),
        },
    )

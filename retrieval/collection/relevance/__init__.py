"""How probable it is that a hit is what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.relevance.background import Background
    from retrieval.collection.relevance.calibration import LINE, Calibration, likely
    from retrieval.collection.relevance.calibrations import (
        GREATEST_ERROR,
        Kind,
        Relevance,
        calibrated,
        check_calibration,
        is_shipped,
        write_calibrations,
    )
    from retrieval.collection.relevance.fitting import Trial, calibration_error, cross_fitted, fit
    from retrieval.collection.relevance.match_signals import (
        FEWEST,
        FIRST,
        LOOKED_AT,
        Signals,
        signals,
    )
    from retrieval.collection.relevance.trials import trial

__all__ = [
    "FEWEST",
    "FIRST",
    "GREATEST_ERROR",
    "LINE",
    "LOOKED_AT",
    "Background",
    "Calibration",
    "Kind",
    "Relevance",
    "Signals",
    "Trial",
    "calibrated",
    "calibration_error",
    "check_calibration",
    "cross_fitted",
    "fit",
    "is_shipped",
    "likely",
    "signals",
    "trial",
    "write_calibrations",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "background": ("Background",),
            "calibration": ("LINE", "Calibration", "likely"),
            "calibrations": (
                "GREATEST_ERROR",
                "Kind",
                "Relevance",
                "calibrated",
                "check_calibration",
                "is_shipped",
                "write_calibrations",
            ),
            "fitting": ("Trial", "calibration_error", "cross_fitted", "fit"),
            "match_signals": ("FEWEST", "FIRST", "LOOKED_AT", "Signals", "signals"),
            "trials": ("trial",),
        },
    )

"""How probable it is that a hit is what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.relevance.background import Background as Background
    from retrieval.collection.relevance.calibration import (
        LINE as LINE,
        Calibration as Calibration,
        likely as likely,
    )
    from retrieval.collection.relevance.calibrations import (
        GREATEST_ERROR as GREATEST_ERROR,
        Kind as Kind,
        Relevance as Relevance,
        calibrated as calibrated,
        check_calibration as check_calibration,
        is_shipped as is_shipped,
        write_calibrations as write_calibrations,
    )
    from retrieval.collection.relevance.fitting import (
        Trial as Trial,
        calibration_error as calibration_error,
        cross_fitted as cross_fitted,
        fit as fit,
    )
    from retrieval.collection.relevance.match_signals import (
        FEWEST as FEWEST,
        FIRST as FIRST,
        LOOKED_AT as LOOKED_AT,
        Signals as Signals,
        signals as signals,
    )
    from retrieval.collection.relevance.trials import trial as trial

lazy(__name__)

"""Fit upgrade methods and measure them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.trial.maps import (
        CLEARLY as CLEARLY,
        EXTENDING as EXTENDING,
        METHODS as METHODS,
        Extension as Extension,
        refusal_of as refusal_of,
    )
    from retrieval.upgrades.trial.measurement import (
        POINTS as POINTS,
        Measured as Measured,
        backfill_curve as backfill_curve,
        background_of as background_of,
        calibrate as calibrate,
        compare_encoders as compare_encoders,
    )
    from retrieval.upgrades.trial.past_samples import (
        against_earlier as against_earlier,
        keep_sample as keep_sample,
    )
    from retrieval.upgrades.trial.questions import (
        LEAST as LEAST,
        Questions as Questions,
        can_measure as can_measure,
        labels_of as labels_of,
        questions_of as questions_of,
    )
    from retrieval.upgrades.trial.sample import (
        Others as Others,
        Sample as Sample,
        draw as draw,
        encode_sample as encode_sample,
        others_of as others_of,
    )
    from retrieval.upgrades.trial.trial import Trial as Trial, try_methods as try_methods

lazy(__name__)

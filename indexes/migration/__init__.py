"""A gallery between two encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.layout import BACKGROUND as BACKGROUND
    from indexes.migration import alignment as alignment, calibration as calibration
    from indexes.migration.alignment import (
        Probe as Probe,
        nearest as nearest,
        overlap as overlap,
        slerp as slerp,
    )
    from indexes.migration.background import Background as Background
    from indexes.migration.blend import Blend as Blend
    from indexes.migration.calibration import Calibration as Calibration
    from indexes.migration.mixed_search import Mixture as Mixture
    from indexes.migration.staging import (
        ADDED as ADDED,
        ADDED_IDS as ADDED_IDS,
        KEPT as KEPT,
        SERVED as SERVED,
        Staging as Staging,
        assemble as assemble,
        extend as extend,
        read_added as read_added,
        write_rows_of as write_rows_of,
    )

lazy(__name__)

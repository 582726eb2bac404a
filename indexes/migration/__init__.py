"""A gallery between two encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.migration import alignment, calibration
    from indexes.migration.alignment import Probe, nearest, overlap, slerp
    from indexes.migration.background import BACKGROUND, Background
    from indexes.migration.blend import Blend
    from indexes.migration.calibration import Calibration
    from indexes.migration.mixed_search import Mixture
    from indexes.migration.staging import (
        ADDED,
        ADDED_IDS,
        KEPT,
        SERVED,
        Staging,
        assemble,
        extend,
        read_added,
        write_rows_of,
    )
else:
    __getattr__ = lazy(
        __name__,
        {
            "alignment": ("Probe", "nearest", "overlap", "slerp"),
            "background": ("BACKGROUND", "Background"),
            "calibration": ("Calibration",),
            "mixed_search": ("Mixture",),
            "blend": ("Blend",),
            "staging": (
                "ADDED",
                "ADDED_IDS",
                "KEPT",
                "SERVED",
                "Staging",
                "assemble",
                "extend",
                "read_added",
                "write_rows_of",
            ),
        },
    )

__all__ = [
    "ADDED",
    "ADDED_IDS",
    "BACKGROUND",
    "KEPT",
    "SERVED",
    "Background",
    "Blend",
    "Calibration",
    "Mixture",
    "Probe",
    "Staging",
    "alignment",
    "assemble",
    "calibration",
    "extend",
    "nearest",
    "overlap",
    "read_added",
    "slerp",
    "write_rows_of",
]

"""Print how well matches were calibrated, and which queries have them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.render import fields

if TYPE_CHECKING:
    from retrieval.evaluation import MatchCalibration


def calibration_table(found: MatchCalibration) -> str:
    """Write what was asked, and the error of each kind of queries."""
    from retrieval.collection.relevance import GREATEST_ERROR

    of = "the collection" if found.own_background else "the background"
    return fields(
        [
            ("labels", f"{found.labels:,} of {found.images:,} labelled images"),
            ("background", f"{found.background:,} images of {of}"),
            *(
                (
                    kind,
                    f"error {error:.3f}; hits have a match now"
                    if kind in found.used
                    else f"error {error:.3f}, above {GREATEST_ERROR}; hits have no match",
                )
                for kind, error in sorted(found.errors.items(), reverse=True)
            ),
        ]
    )

"""Measure an index, and find the cheapest settings that reach a wanted recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.tuning import width_choice
    from indexes.derivation.tuning.measurement import MEASURED_ROWS, ExtraQueries, Measured, Rows
    from indexes.derivation.tuning.shard_tuning import measure_shards

__all__ = ["MEASURED_ROWS", "ExtraQueries", "Measured", "Rows", "measure_shards", "width_choice"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "measurement": ("ExtraQueries", "MEASURED_ROWS", "Measured", "Rows"),
            "shard_tuning": ("measure_shards",),
            "width_choice": (),
        },
    )

"""Measure an index, and find the cheapest settings that reach a wanted recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.tuning import width_choice as width_choice
    from indexes.derivation.tuning.measurement import (
        MEASURED_ROWS as MEASURED_ROWS,
        ExtraQueries as ExtraQueries,
        Measured as Measured,
        Rows as Rows,
    )
    from indexes.derivation.tuning.shard_tuning import measure_shards as measure_shards

lazy(__name__)

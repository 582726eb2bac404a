"""One opened generation."""

from __future__ import annotations

from indexes.search import funnel, rotated_prefixes
from indexes.search.funnel import Funnel
from indexes.search.generation import Generation
from indexes.search.stages import (
    FACTOR,
    TUNED_K,
    Stage,
    Stages,
    from_json,
    middles_of,
    prefixes_of,
    require_whole,
    shown,
    unplanned,
)

__all__ = [
    "FACTOR",
    "TUNED_K",
    "Funnel",
    "Generation",
    "Stage",
    "Stages",
    "from_json",
    "funnel",
    "middles_of",
    "prefixes_of",
    "require_whole",
    "rotated_prefixes",
    "shown",
    "unplanned",
]

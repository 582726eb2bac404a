"""One opened generation."""

from __future__ import annotations

from indexes.search import funnel
from indexes.search.funnel import Funnel
from indexes.search.generation import Generation
from indexes.search.widths import FACTOR, TUNED_K, prefixes_of, require_whole, unmeasured

__all__ = [
    "FACTOR",
    "TUNED_K",
    "Funnel",
    "Generation",
    "funnel",
    "prefixes_of",
    "require_whole",
    "unmeasured",
]

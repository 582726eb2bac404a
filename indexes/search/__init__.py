"""One opened generation."""

from __future__ import annotations

from indexes.search import funnel
from indexes.search.funnel import Funnel
from indexes.search.generation import Generation
from indexes.search.prefix_scan import Narrow, scanned
from indexes.search.widths import FACTOR, TUNED_K, prefixes_of, require_whole, unmeasured

__all__ = [
    "FACTOR",
    "TUNED_K",
    "Funnel",
    "Generation",
    "Narrow",
    "funnel",
    "prefixes_of",
    "require_whole",
    "scanned",
    "unmeasured",
]

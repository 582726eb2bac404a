"""Found rows become hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.answers.hits import Hit, Hits, find_hits

__all__ = ["Hit", "Hits", "find_hits"]

__getattr__ = lazy(__name__, {"hits": ("Hit", "Hits", "find_hits")})

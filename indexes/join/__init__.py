"""Pairs of rows that lie near each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.join.pairs import Pairs
    from indexes.join.self_join import SelfJoin
else:
    __getattr__ = lazy(__name__, {"pairs": ("Pairs",), "self_join": ("SelfJoin",)})

__all__ = ["Pairs", "SelfJoin"]

"""Pairs of rows that lie near each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.join.pairs import Pairs as Pairs
    from indexes.join.self_join import SelfJoin as SelfJoin

lazy(__name__)

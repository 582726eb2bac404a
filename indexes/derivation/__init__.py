"""Store → generation."""

from __future__ import annotations

from indexes.derivation.build_plan import FLAT_ROWS, Event, plan
from indexes.derivation.derivation import check_dim, derive, publish_tail
from indexes.derivation.publish import Carried
from indexes.derivation.rotations import fit

__all__ = ["FLAT_ROWS", "Carried", "Event", "check_dim", "derive", "fit", "plan", "publish_tail"]

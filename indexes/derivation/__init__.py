"""Store → generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.build_plan import FLAT_ROWS, Event, plan
    from indexes.derivation.derivation import check_dim, derive, publish_tail
    from indexes.derivation.derived_files import DerivedFile
    from indexes.derivation.publish import Carried
    from indexes.derivation.recent_publish import publish_rows
    from indexes.derivation.rotations import fit
else:
    __getattr__ = lazy(
        __name__,
        {
            "build_plan": ("FLAT_ROWS", "Event", "plan"),
            "derivation": ("check_dim", "derive", "publish_tail"),
            "derived_files": ("DerivedFile",),
            "publish": ("Carried",),
            "recent_publish": ("publish_rows",),
            "rotations": ("fit",),
        },
    )

__all__ = [
    "FLAT_ROWS",
    "Carried",
    "DerivedFile",
    "Event",
    "check_dim",
    "derive",
    "fit",
    "plan",
    "publish_rows",
    "publish_tail",
]

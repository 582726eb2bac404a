"""Store → generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.build_plan import (
        BLOCK,
        FLAT_ROWS,
        Event,
        OnEvent,
        Plan,
        available_memory,
        plan,
        require_disk,
        require_memory,
    )
    from indexes.derivation.construction import (
        FIT_ROWS,
        SharedTraining,
        fit,
        shared_factory,
        sweep_trainings,
        train_together,
    )
    from indexes.derivation.derivation import check_dim, derive, publish_tail, stored_rows
    from indexes.derivation.derived_files import DerivedFile
    from indexes.derivation.publish import Carried
    from indexes.derivation.recent_publish import publish_rows
    from indexes.derivation.tuning import measure_shards
else:
    __getattr__ = lazy(
        __name__,
        {
            "build_plan": (
                "available_memory",
                "BLOCK",
                "Event",
                "FLAT_ROWS",
                "OnEvent",
                "Plan",
                "plan",
                "require_disk",
                "require_memory",
            ),
            "construction": (
                "FIT_ROWS",
                "SharedTraining",
                "fit",
                "shared_factory",
                "sweep_trainings",
                "train_together",
            ),
            "derivation": ("check_dim", "derive", "publish_tail", "stored_rows"),
            "derived_files": ("DerivedFile",),
            "publish": ("Carried",),
            "recent_publish": ("publish_rows",),
            "tuning": ("measure_shards",),
        },
    )

__all__ = [
    "BLOCK",
    "FIT_ROWS",
    "FLAT_ROWS",
    "Carried",
    "DerivedFile",
    "Event",
    "OnEvent",
    "Plan",
    "SharedTraining",
    "available_memory",
    "check_dim",
    "derive",
    "fit",
    "measure_shards",
    "plan",
    "publish_rows",
    "publish_tail",
    "require_disk",
    "require_memory",
    "shared_factory",
    "stored_rows",
    "sweep_trainings",
    "train_together",
]

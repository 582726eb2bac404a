"""Store → generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.build_plan import FLAT_ROWS, Event, OnEvent, plan
    from indexes.derivation.derivation import check_dim, derive, publish_tail, stored_rows
    from indexes.derivation.derived_files import DerivedFile
    from indexes.derivation.publish import Carried
    from indexes.derivation.recent_publish import publish_rows
    from indexes.derivation.rotations import fit
    from indexes.derivation.shard_tuning import measure_shards
    from indexes.derivation.shared_training import (
        SharedTraining,
        shared_factory,
        sweep_trainings,
        train_together,
    )
else:
    __getattr__ = lazy(
        __name__,
        {
            "build_plan": ("FLAT_ROWS", "Event", "OnEvent", "plan"),
            "derivation": ("check_dim", "derive", "publish_tail", "stored_rows"),
            "derived_files": ("DerivedFile",),
            "publish": ("Carried",),
            "recent_publish": ("publish_rows",),
            "rotations": ("fit",),
            "shard_tuning": ("measure_shards",),
            "shared_training": ("SharedTraining", "shared_factory", "sweep_trainings", "train_together"),
        },
    )

__all__ = [
    "FLAT_ROWS",
    "Carried",
    "DerivedFile",
    "Event",
    "OnEvent",
    "SharedTraining",
    "check_dim",
    "derive",
    "fit",
    "measure_shards",
    "plan",
    "publish_rows",
    "publish_tail",
    "shared_factory",
    "stored_rows",
    "sweep_trainings",
    "train_together",
]

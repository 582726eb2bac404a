"""Store → generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.build_plan import (
        BLOCK as BLOCK,
        FLAT_ROWS as FLAT_ROWS,
        KINDS as KINDS,
        Event as Event,
        OnEvent as OnEvent,
        Plan as Plan,
        available_memory as available_memory,
        plan as plan,
        require_disk as require_disk,
        require_memory as require_memory,
    )
    from indexes.derivation.construction import (
        FIT_ROWS as FIT_ROWS,
        SharedTraining as SharedTraining,
        fit as fit,
        shared_factory as shared_factory,
        sweep_trainings as sweep_trainings,
        train_together as train_together,
    )
    from indexes.derivation.derivation import (
        check_dim as check_dim,
        derive as derive,
        publish_tail as publish_tail,
        stored_rows as stored_rows,
    )
    from indexes.derivation.derived_files import DerivedFile as DerivedFile
    from indexes.derivation.publish import Carried as Carried
    from indexes.derivation.recent_publish import publish_rows as publish_rows
    from indexes.derivation.tuning import measure_shards as measure_shards

lazy(__name__)

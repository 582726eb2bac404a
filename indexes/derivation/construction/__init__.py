"""Train, fill and write an index, for one collection or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.construction import parts as parts, rotations as rotations
    from indexes.derivation.construction.construction import (
        Construction as Construction,
        Writer as Writer,
        needs_turn as needs_turn,
        wide_rows as wide_rows,
    )
    from indexes.derivation.construction.rotations import Learn as Learn, fit as fit
    from indexes.derivation.construction.shared_training import (
        FIT_ROWS as FIT_ROWS,
        SharedTraining as SharedTraining,
        shared_factory as shared_factory,
        sweep_trainings as sweep_trainings,
        train_together as train_together,
    )

lazy(__name__)

"""Train, fill and write an index, for one collection or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.derivation.construction import parts, rotations
    from indexes.derivation.construction.construction import Construction, Writer, needs_turn, wide_rows
    from indexes.derivation.construction.rotations import Learn, fit
    from indexes.derivation.construction.shared_training import (
        FIT_ROWS,
        SharedTraining,
        shared_factory,
        sweep_trainings,
        train_together,
    )

__all__ = [
    "FIT_ROWS",
    "Construction",
    "Learn",
    "SharedTraining",
    "Writer",
    "fit",
    "needs_turn",
    "parts",
    "rotations",
    "shared_factory",
    "sweep_trainings",
    "train_together",
    "wide_rows",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "construction": ("Construction", "Writer", "needs_turn", "wide_rows"),
            "parts": (),
            "rotations": ("Learn", "fit"),
            "shared_training": (
                "FIT_ROWS",
                "SharedTraining",
                "shared_factory",
                "sweep_trainings",
                "train_together",
            ),
        },
    )

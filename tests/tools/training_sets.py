"""Make small sets of photographs to train on, without altered views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tools.train_nano.targets.places import AXES, GRID
from tools.train_nano.tower.train import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT = 40


def without_views(
    targets: NDArray[np.float32], *, side: int, numbers: np.random.Generator, **more: Any
) -> TrainingSet:
    """Return photographs of squares with targets ``(40, d)``, four fifths of them to train on; ``side`` squares a side."""
    width = targets.shape[1]
    squares = numbers.integers(0, 256, (COUNT, side, side, 3), np.uint8)
    return TrainingSet(
        pixels=squares.repeat(16, 1).repeat(16, 2),
        targets=targets,
        views=np.empty((0, 64, 64, 3), np.uint8),
        view_targets=np.empty((0, width), np.float32),
        view_places=np.empty((0, AXES, GRID, GRID), np.float16),
        asked=np.eye(width, dtype=np.float32),
        label_codes=np.arange(COUNT) % 4,
        train=np.arange(32),
        weights=np.full(32, 1 / 32),
        check={"held": np.arange(32, COUNT)},
        **more,
    )

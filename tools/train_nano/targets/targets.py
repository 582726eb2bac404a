"""What nano must give for a photograph: the teacher's features and the words that fit, rotated into 256 columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.targets.align import Alignment
from tools.train_nano.targets.joint import seen_by

Rows = NDArray[np.float32]
POWER = 0.25
WORDS_WEIGHT = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMap:
    """The map from teacher features to nano's targets; the widest axes come first, as Matryoshka training wants."""

    alignment: Alignment
    mean: Rows
    axes: Rows
    joint_mean: Rows
    joint_axes: Rows

    def joined(self, features: NDArray[Any]) -> Rows:
        """Give what is seen beside what words say of it, before the cut."""
        seen = unit((seen_by(features) - self.mean) @ self.axes)
        return np.concatenate([seen, WORDS_WEIGHT * self.alignment.place_photos(features)], 1)

    def place(self, features: NDArray[Any]) -> Rows:
        """Map ``(n, 1280 k)`` features of k teachers to ``(n, 256)`` targets, not normalised."""
        parts = [
            (self.joined(features[i : i + 8192]) - self.joint_mean) @ self.joint_axes
            for i in range(0, len(features), 8192)
        ]
        return np.concatenate(parts).astype(np.float32)


def fit_target_map(
    alignment: Alignment, photos: list[Photo], features: NDArray[np.float16], *, dim: int = 256
) -> TargetMap:
    """Fit on training photographs only: features partly whitened and joined with words, cut to principal axes."""
    train = np.array([photo.split == "train" for photo in photos])
    rows = seen_by(features[train])
    mean = rows.mean(0)
    variance, axes = np.linalg.eigh(np.cov((rows - mean).T))
    variance, axes = variance[::-1][:dim], axes[:, ::-1][:, :dim]
    start = TargetMap(
        alignment=alignment,
        mean=mean,
        axes=(axes * variance ** (-POWER / 2)).astype(np.float32),
        joint_mean=np.zeros(0, np.float32),
        joint_axes=np.zeros(0, np.float32),
    )
    joined = start.joined(features[train])
    joint_mean = joined.mean(0)
    _, joint_axes = np.linalg.eigh(np.cov((joined - joint_mean).T))
    return TargetMap(
        alignment=alignment,
        mean=mean,
        axes=start.axes,
        joint_mean=joint_mean,
        joint_axes=joint_axes[:, ::-1][:, :dim].astype(np.float32),
    )

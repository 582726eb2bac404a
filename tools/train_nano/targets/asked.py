"""What texts ask of photographs: in which directions a photograph's vector must be right for words to find it.

A text's score is the product of its vector with a photograph's. How far scores are off, averaged over texts, is therefore not how far
the photograph's vector is off, but how far it is along the texts' second moment.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tools.train_nano.measure import unit

Rows = NDArray[np.float32]


def asked_axes(directions: Rows, weights: NDArray[np.float64]) -> Rows:
    """Give ``(d, d)`` axes: the squared length of a difference times them is the mean squared difference of scores.

    Args:
        directions: ``(t, d)`` unit rows of texts.
        weights: ``(t,)`` how much each counts; they sum to one.
    """
    moment = directions.T @ (directions * weights[:, None].astype(np.float32))
    values, vectors = np.linalg.eigh(moment)
    axes: Rows = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    return axes


def middle(targets: Rows, weights: NDArray[np.float64]) -> Rows:
    """Give the mean direction ``(d,)`` of photographs, each counted as often as it is drawn."""
    mean: Rows = np.average(unit(targets), 0, weights).astype(np.float32)
    return mean


def scores_off(
    z: torch.Tensor, target: torch.Tensor, axes: torch.Tensor, middle: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared difference of texts' scores, relative to how far the targets' scores differ from the ``middle``'s.

    It is the mean that is right where a photograph cannot be told: such a one must lie in the middle, and not lead by chance.
    """
    aim = F.normalize(target, dim=1)
    off, apart = (F.normalize(z, dim=1) - aim) @ axes, (aim - middle) @ axes  # (b, d)
    return off.square().sum() / apart.square().sum()

"""What the teacher sees in each place of a view, and the student's answer to it.

A photograph of an everyday scene shows several things; one vector of the whole says which, not where. The teacher's last map
says it for every place of the same picture (hints from inner maps: Romero et al., 2015, "FitNets", arXiv 1412.6550).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.families.nano_torch import HEAD_STAGES, WIDTHS, ImageTower

GRID = 7  # places a side of the teacher's last map
AXES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The axes along which the teacher's maps are kept: ``mean`` ``(1280,)`` and ``axes`` ``(1280, 128)``."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    def keep(self, maps: NDArray[np.float32]) -> NDArray[np.float16]:
        """Project maps ``(n, 1280, 7, 7)`` to ``(n, 128, 7, 7)``."""
        rows = maps.transpose(0, 2, 3, 1) - self.mean
        kept: NDArray[np.float16] = (rows @ self.axes).transpose(0, 3, 1, 2).astype(np.float16)
        return kept


def fit_places(features: NDArray[Any]) -> Places:
    """Fit on the pooled features ``(n, 1280)`` of training photographs: their principal axes, the greatest first."""
    wide = features.astype(np.float32)
    mean = wide.mean(0)
    _, vectors = np.linalg.eigh((wide - mean).T @ (wide - mean))
    return Places(mean=mean, axes=np.ascontiguousarray(vectors[:, : -AXES - 1 : -1]))


def averages(before: int, after: int) -> torch.Tensor:
    """Give the ``(after, before)`` matrix of adaptive average pooling, which is slow as such on a CPU."""
    return F.adaptive_avg_pool1d(torch.eye(before), after).T


class PlaceHeads(nn.Module):
    """Linear maps from the stages that the tower's head reads to the teacher's kept axes, place by place."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(width, AXES, 1) for width in widths[-HEAD_STAGES:])

    def forward(self, maps: Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """Return the share of the teacher's maps ``(b, 128, 7, 7)`` that the stages' maps leave unexplained, a mean over stages."""
        gaps = []
        for head, seen in zip(self.heads, maps, strict=True):
            means = averages(target.shape[-1], seen.shape[-1]).to(target)
            aim = means @ target @ means.T  # (b, 128, p, p)
            gaps.append((head(seen).float() - aim).square().sum() / aim.square().sum())
        return torch.stack(gaps).mean()


class Pupil(nn.Module):
    """A tower in training, with what only training needs; the stem and the first ``frozen`` stages, where any, keep what they are.

    First layers settle first (Brock et al., 2017, "FreezeOut", arXiv 1706.04983), and cost the most time a weight.
    """

    def __init__(self, tower: ImageTower, places: PlaceHeads, *, frozen: int = 0) -> None:
        super().__init__()
        self.tower = tower
        self.places = places
        self.frozen = frozen
        for module in self._settled():
            module.requires_grad_(requires_grad=False)

    def _settled(self) -> list[nn.Module]:
        return [self.tower.stem, *self.tower.stages[: self.frozen]] if self.frozen else []

    def train(self, mode: bool = True) -> Pupil:
        """Switch to training; the norms of settled stages stay as they are."""
        super().train(mode)
        for module in self._settled():
            module.eval()
        return self

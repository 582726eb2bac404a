"""Fit the head of a finished image tower anew: a ridge map from the means of its stages to the photographs' targets.

While a tower trains, its head follows features that move. Once they stand still, the best linear head is a matter of minutes, and it
can read stages that the head before did not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.encoders.families.nano_torch import CROPS, SIZE, Crop, Head, ImageTower, cut
from tools.train_nano.inputs.augment import normalised, plain
from tools.train_nano.measure import unit
from tools.train_nano.targets.joint import ridge
from tools.train_nano.tower.start import LEAST_SPREAD
from tools.train_nano.tower.train import TrainingSet

STRENGTH = 1000.0  # 200 and 4,000 find as many captions' photographs, names and copies


@torch.no_grad()
def fit_head(
    tower: ImageTower,
    data: TrainingSet,
    *,
    crops: Sequence[Crop] = CROPS,
    most: int | None = None,
    bfloat16: bool = False,
) -> None:
    """Fit the head on training photographs as nano looks at them: each of ``crops`` must give the whole photograph's target.

    A crop counts the square of its weight, a photograph as often as it is drawn in training. The head may be narrower or wider than the
    targets were before: it gets as many outputs as they have columns.

    Args:
        most: of the photographs, a sample of so many; None for all.
        bfloat16: multiply so: sooner on CPUs with AVX512-BF16 or AMX.
    """
    own = np.arange(len(data.train))
    if most is not None:
        own = np.sort(np.random.default_rng(0).permutation(own)[:most])
    rows = data.train[own]
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        seen = [_means(tower.eval(), data.pixels, rows, crop) for crop in crops]
    shares = (data.weights[own] / data.weights.min()).astype(np.float32)
    weights = np.concatenate([crop.weight**2 * shares for crop in crops])
    x, y = np.concatenate(seen), np.tile(unit(data.targets[rows]), (len(crops), 1))
    middle, spread, mean = x.mean(0), x.std(0) + LEAST_SPREAD, y.mean(0)
    fitted = ridge((x - middle) / spread, y - mean, STRENGTH, weights) / spread[:, None]
    if tower.head.out_features != y.shape[1]:
        tower.head = Head(x.shape[1], y.shape[1])
    tower.head.weight.copy_(torch.from_numpy(fitted.T))
    tower.head.bias.copy_(torch.from_numpy(mean - middle @ fitted))


def _means(
    tower: ImageTower, pixels: NDArray[np.uint8], rows: NDArray[np.int64], crop: Crop
) -> NDArray[np.float32]:
    """Return what the head reads of one crop of some photographs: ``(n, 768)`` float32."""
    found = []
    for start in range(0, len(rows), 256):
        x = plain(pixels[rows[start : start + 256]], SIZE, device=torch.device("cpu"))
        looked = cut(normalised(x), crop).contiguous(memory_format=torch.channels_last)
        found.append(tower.means(looked).float().numpy())
    return np.concatenate(found)

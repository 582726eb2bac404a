"""Measure a tower on photographs held out, quickly, while it trains."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.encoders.families.nano_torch import CROPS, ImageTower
from tools.train_nano.inputs.augment import normalised, plain
from tools.train_nano.measure import nearest_accuracy, unit

SIDE = CROPS[0].side  # px


def embed(tower: ImageTower, pixels: NDArray[np.uint8], *, device: torch.device) -> NDArray[np.float32]:
    """Embed stored pixels, ``(n, s, s, 3)`` uint8, without augmentation: ``(n, 256)`` raw float32 rows."""
    tower.eval()
    rows = []
    with torch.inference_mode():
        for i in range(0, len(pixels), 256):
            x = plain(pixels[i : i + 256], SIDE, device=device)
            rows.append(tower.raw(normalised(x).contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(rows).numpy()


def check_neighbours(
    tower: ImageTower,
    pixels: NDArray[np.uint8],
    targets: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: dict[str, NDArray[np.int64]],
    *,
    device: torch.device,
) -> dict[str, float]:
    """1-NN accuracy relative to the targets', per group of rows; the means over groups for all columns and for 64.

    A group in which the targets themselves find nothing says nothing, and is left out.
    """
    found: dict[str, float] = {}
    relative: dict[int, list[float]] = {256: [], 64: []}
    for group, rows in groups.items():
        z = embed(tower, pixels[rows], device=device)
        teacher = nearest_accuracy(targets[rows], labels[rows], dim=256)
        if not teacher:
            continue
        for dim, values in relative.items():
            values.append(nearest_accuracy(z, labels[rows], dim=dim) / teacher)
        found[group] = round(relative[256][-1], 4)
    return found | {f"relative_{dim}": round(float(np.mean(values)), 4) for dim, values in relative.items()}


def check_copies(tower: ImageTower, pixels: NDArray[np.uint8], *, device: torch.device) -> dict[str, float]:
    """Share of altered copies of about 200 of the photographs that are found first among all of them."""
    gallery = unit(embed(tower, pixels, device=device))
    own = np.arange(0, len(pixels), max(1, len(pixels) // 200))
    side, found = pixels.shape[1], {}
    inner = round(side * (1 - 0.5**0.5) / 2)
    for name, copies in {
        "turned": np.rot90(pixels[own], axes=(1, 2)).copy(),
        "cropped": pixels[own, inner : side - inner, inner : side - inner],
        "grey": pixels[own].mean(-1, keepdims=True).repeat(3, -1).astype(np.uint8),
    }.items():
        z = embed(tower, copies, device=device)
        found[name] = round(float(((z @ gallery.T).argmax(1) == own).mean()), 4)
    return found

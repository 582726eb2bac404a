"""Towers of one architecture trained with and without nesting, for `bench_matryoshka`: equal data, equal samples.

First one tower of nano's architecture learns from the teacher alone, at full width and in a random basis, so that no
component of it means more than another. From that one start each contender goes on for as many samples with labels:

- ``nested``: a classifier a prefix (Matryoshka, `retrieval.training.MatryoshkaHead`), widths 16 to 256;
- ``plain``: one classifier of the whole 256;
- ``separate m``: one classifier that sees the first m components only: a tower of that width.

All see the same pictures in the same order. Only training photographs are seen (`tools.train_nano.data`); the tables
are of photographs, and of whole classes, that none of them saw.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from retrieval.encoders.nano_torch import ImageTower
from retrieval.training import MatryoshkaHead
from tools.train_nano.augment import light

WIDTHS = (16, 32, 64, 128, 256)
_MOMENTS = 0.5, 0.25  # as nano's preprocessing shifts and scales [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much every tower is trained; the same for all contenders."""

    start_samples: int = 90_000
    samples: int = 30_000
    batch: int = 128
    side: int = 64
    rate: float = 2e-3
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Photographs:
    """What is learned from.

    ``pixels`` ``(n, s, s, 3)`` uint8; ``targets`` ``(n, 256)`` unit rows; ``labels`` ``(n,)``, -1 for none; ``train``: the row
    numbers that may be seen.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]


def teacher_targets(
    features: NDArray[np.float32], train: NDArray[np.int64], *, seed: int = 0
) -> NDArray[np.float32]:
    """Turn a teacher's features into ``(n, 256)`` unit targets in a random basis.

    The 256 directions of most variance over the training rows, each scaled by the fourth root of its variance so that
    fine differences count, then a random rotation: a network that is not told otherwise has no order of components.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    mean = unit[train].mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((unit[train] - mean).T))
    order = np.argsort(-values)[:256]
    rows = (unit - mean) @ axes[:, order] / np.maximum(values[order], 1e-12) ** 0.25
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((256, 256)))[0]
    rows = (rows @ turn).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def train_towers(
    photographs: Photographs, budget: Budget, *, separate: tuple[int, ...], note: Callable[[str], None]
) -> dict[str, ImageTower]:
    """Train the start and every contender; the start is among them, under ``start``."""
    torch.set_num_threads(budget.threads)
    torch.manual_seed(budget.seed)
    start = ImageTower(norm=True)
    targets = torch.from_numpy(photographs.targets)

    def match(tower: ImageTower, x: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        return 1 - (tower(x).float() * targets[rows]).sum(1).mean()

    note(f"teaching the start, {budget.start_samples:,} samples")
    _train(start, [], match, photographs, photographs.train, budget, budget.start_samples, rate=budget.rate)
    labelled = photographs.train[photographs.labels[photographs.train] >= 0]
    classes = int(photographs.labels.max()) + 1
    towers = {"start": start}
    contenders = {"nested": WIDTHS, "plain": (256,), **{f"separate {width}": (width,) for width in separate}}
    for name, nesting in contenders.items():
        note(f"{name}: {budget.samples:,} samples")
        tower = deepcopy(start)
        torch.manual_seed(budget.seed + 1)
        head = MatryoshkaHead(nesting, classes, smoothing=0.1)

        def classify(
            tower: ImageTower, x: torch.Tensor, rows: NDArray[np.int64], head: MatryoshkaHead = head
        ) -> torch.Tensor:
            labels = torch.from_numpy(photographs.labels[rows])
            # A sum over five prefixes has five times the gradient of one: the mean keeps the step the same.
            return head(tower.raw(x).float(), labels) / len(head.nesting)

        _train(tower, [head], classify, photographs, labelled, budget, budget.samples, rate=budget.rate / 2)
        towers[name] = tower
    return towers


def _train(
    tower: ImageTower,
    heads: list[torch.nn.Module],
    loss: Callable[[ImageTower, torch.Tensor, NDArray[np.int64]], torch.Tensor],
    photographs: Photographs,
    rows: NDArray[np.int64],
    budget: Budget,
    samples: int,
    *,
    rate: float,
) -> None:
    """Run one schedule in place: AdamW, a short warm-up, then a cosine to nothing."""
    parameters = [p for module in (tower, *heads) for p in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.05)
    steps = max(1, samples // budget.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=min(0.2, 50 / steps)
    )
    tower.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload,unused-ignore]
    for step in range(steps):
        numbers = np.random.default_rng((budget.seed, step))
        chosen = numbers.choice(rows, budget.batch, replace=False)
        pixels = photographs.pixels[np.sort(chosen)]
        x = light(pixels, budget.side, seed=int(numbers.integers(2**31)), device=torch.device("cpu"))
        value = loss(tower, _shifted(x), np.sort(chosen))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()


def embed(tower: ImageTower, pixels: NDArray[np.uint8], *, side: int) -> NDArray[np.float32]:
    """Embed stored pixels, ``(n, s, s, 3)`` uint8, as they are: ``(n, 256)`` raw float32 rows."""
    tower.eval()
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 256):
            x = (
                torch.from_numpy(np.ascontiguousarray(pixels[start : start + 256]))
                .permute(0, 3, 1, 2)
                .float()
                / 255
            )
            x = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
            rows.append(tower.raw(_shifted(x)))
    return torch.cat(rows).numpy()


def _shifted(x: torch.Tensor) -> torch.Tensor:
    return ((x - _MOMENTS[0]) / _MOMENTS[1]).contiguous(memory_format=torch.channels_last)

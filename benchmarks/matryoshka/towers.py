"""Towers of one architecture trained with and without nesting, for `bench_matryoshka`: equal data, equal samples.

First one tower of nano's architecture learns from the teacher alone, at full width and in a random basis, so that no
component of it means more than another. Its stem and first three residual stages stay as they are then; from there each
contender trains the last stage and the head, four fifths of the parameters, for as many samples with labels:

- ``nested``: a classifier a prefix (Matryoshka, `retrieval.encoders.training.losses.MatryoshkaHead`), widths 16 to 256;
- ``plain``: one classifier of the whole 256;
- ``separate m``: one classifier that sees the first m components only: a tower of that width.

What the third stage gives is made once for all of them, of each photograph as it is and mirrored: that makes repeats
affordable. All contenders of a repeat see the same pictures in the same order; repeats differ in that order and in
the classifiers they start from. Only training photographs are seen (`tools.train_nano.inputs.data`); the tables are of
photographs, and of whole classes, that none of them saw.

Less than one epoch with labels is what a few minutes of CPU allow. What longer training does, `benchmarks.matryoshka.heads`
shows on frozen features.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from benchmarks.matryoshka.data import WIDTHS
from retrieval.encoders.families.nano_torch import ImageTower, pooled
from retrieval.encoders.training.losses import MatryoshkaHead
from tools.train_nano.inputs.augment import light, normalised, plain

_EMBEDDED = 256

Note = Callable[[str], None]
Floats = NDArray[np.float32]
Middle = NDArray[np.float16]
"""``(n, 256, 4, 4)`` what the frozen stages give of pictures of 64 pixels a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much every tower is trained; the same for all contenders."""

    start_samples: int = 60_000
    samples: int = 20_000
    batch: int = 128
    side: int = 64
    rate: float = 2e-3
    threads: int = 2

    @property
    def start(self) -> str:
        """What a start made with it is called: everything that decides what it is."""
        return f"{self.start_samples}-{self.batch}-{self.side}-{self.rate:g}"

    @property
    def name(self) -> str:
        """The same of contenders."""
        return f"{self.start}-{self.samples}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photographs:
    """What is learned from.

    ``pixels`` ``(n, s, s, 3)`` uint8; ``targets`` ``(n, 256)`` unit rows; ``train``: the row numbers that may be seen.
    """

    pixels: NDArray[np.uint8]
    targets: Floats
    train: NDArray[np.int64]


def teacher_targets(features: Floats, train: NDArray[np.int64], *, seed: int = 0) -> Floats:
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


def nesting_of(name: str) -> tuple[int, ...]:
    """Return the prefixes that a contender is trained for."""
    kind, _, width = name.partition(" ")
    return {"nested": WIDTHS, "plain": WIDTHS[-1:]}.get(kind) or (int(width),)


def taught(photographs: Photographs, budget: Budget, *, kept: Path, note: Note) -> ImageTower:
    """Teach the start that all contenders share, or take the one in ``kept``."""
    torch.set_num_threads(budget.threads)
    torch.manual_seed(0)
    tower = ImageTower(norm=True)
    path = kept / f"start-{budget.start}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            tower.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
        return tower.eval()
    tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
    note(f"teaching the start, {budget.start_samples:,} samples")
    targets = torch.from_numpy(photographs.targets)

    def loss(rows: NDArray[np.int64], seed: int) -> torch.Tensor:
        rows = np.sort(rows)
        x = light(photographs.pixels[rows], budget.side, seed=seed, device=torch.device("cpu"))
        return 1 - (tower(_shifted(x)).float() * targets[rows]).sum(1).mean()

    _train(
        [tower], loss, photographs.train, budget, budget.start_samples, rate=budget.rate, seed=0, note=note
    )
    _write(
        path,
        lambda file: np.savez(file, **{name: value.numpy() for name, value in tower.state_dict().items()}),
    )
    return tower.eval()


def middle(
    start: ImageTower,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    budget: Budget,
    *,
    mirrored: bool = False,
) -> Middle:
    """Run the frozen stages on some photographs, as they are or mirrored."""
    torch.set_num_threads(budget.threads)
    side = budget.side // 16
    made = np.empty((len(rows), 256, side, side), dtype=np.float16)
    with torch.inference_mode():
        for first in range(0, len(rows), _EMBEDDED):
            x = plain(pixels[rows[first : first + _EMBEDDED]], budget.side, device=torch.device("cpu"))
            x = F.relu(start.stem(_shifted(x.flip(-1) if mirrored else x)))
            for stage in start.stages[:-1]:
                x = stage(x)  # (b, 256, s/16, s/16) behind the last
            made[first : first + _EMBEDDED] = x.numpy()
    return made


class Upper(nn.Module):
    """The last stage and the head of a tower: ``(b, 256, s/16, s/16)`` to ``(b, 256)`` raw rows."""

    def __init__(self, start: ImageTower) -> None:
        super().__init__()
        self.stage = deepcopy(start.stages[-1]).to(memory_format=torch.contiguous_format)
        self.head = deepcopy(start.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed, without normalising."""
        out: torch.Tensor = self.head(pooled([x, self.stage(x)]))  # the head reads the last two stages
        return out


def contender(
    start: ImageTower,
    name: str,
    views: tuple[Middle, ...],
    labels: NDArray[np.int64],
    budget: Budget,
    *,
    seed: int,
    note: Note,
) -> Upper:
    """Train one contender.

    Args:
        start: the tower that all share.
        name: ``nested``, ``plain`` or ``separate WIDTH``.
        views: what the frozen stages give of the ``n`` labelled photographs, one array a view; one is drawn each time.
        labels: ``(n,)`` class numbers.
        budget: how much.
        seed: of the order and of the classifiers.
        note: is told how it goes.
    """
    torch.set_num_threads(budget.threads)
    torch.manual_seed(seed + 1)
    upper = Upper(start)
    head = MatryoshkaHead(nesting_of(name), int(labels.max()) + 1, smoothing=0.1)
    truth = torch.from_numpy(labels)

    def loss(rows: NDArray[np.int64], seed: int) -> torch.Tensor:
        which = np.random.default_rng(seed).integers(len(views), size=len(rows))
        x = np.stack([views[view][row] for view, row in zip(which, rows, strict=True)])
        z = upper(torch.from_numpy(x).float())  # so few places are faster with channels first
        # A sum over five prefixes has five times the gradient of one: the mean keeps the step the same.
        out: torch.Tensor = head(z, truth[rows]) / len(head.nesting)
        return out

    everyone = np.arange(len(labels))
    _train([upper, head], loss, everyone, budget, budget.samples, rate=budget.rate / 2, seed=seed, note=note)
    return upper.eval()


def embed(upper: nn.Module, seen: Middle) -> Floats:
    """Embed what the frozen stages gave: ``(n, 256)`` raw float32 rows."""
    upper.eval()
    with torch.inference_mode():
        rows = [
            upper(torch.from_numpy(seen[first : first + _EMBEDDED]).float())
            for first in range(0, len(seen), _EMBEDDED)
        ]
    return np.asarray(torch.cat(rows).numpy(), dtype=np.float32)


def _train(
    modules: list[nn.Module],
    loss: Callable[[NDArray[np.int64], int], torch.Tensor],
    rows: NDArray[np.int64],
    budget: Budget,
    samples: int,
    *,
    rate: float,
    seed: int,
    note: Note,
) -> None:
    """Run one schedule in place: AdamW, a short warm-up, then a cosine to nothing."""
    parameters = [p for module in modules for p in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.05, fused=True)
    steps = max(1, samples // budget.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=min(0.2, 50 / steps)
    )
    modules[0].train()
    told = time.monotonic()
    for step in range(steps):
        numbers = np.random.default_rng((seed, step))
        chosen = numbers.choice(rows, min(budget.batch, len(rows)), replace=False)
        value = loss(chosen, int(numbers.integers(2**31)))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        if time.monotonic() - told > 60:
            told = time.monotonic()
            note(f"  step {step + 1:,} of {steps:,}, loss {float(value):.3f}")


def _write(path: Path, save: Callable[[object], object]) -> None:
    """Write a file whole or not at all, so that a run that is killed leaves none that looks finished."""
    partial = path.with_name(f"partial-{path.name}")
    with partial.open("wb") as file:
        save(file)
    partial.replace(path)


def _shifted(x: torch.Tensor) -> torch.Tensor:
    return normalised(x).contiguous(memory_format=torch.channels_last)

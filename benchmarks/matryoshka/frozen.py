"""Heads trained on frozen features with and without nesting, for `bench_matryoshka`: cheap enough for many epochs.

The teacher's 1,280 features stay as they are; the first 512 principal directions of them (`Reduced`) go through a perceptron:
512 → 512, batch normalisation, ReLU, → 256. As in the paper the classifiers sit on the raw embedding and are thrown away: ``nested`` has one a prefix (MRL), ``nested, shared``
one whose first columns serve a prefix (MRL-E), ``plain`` one of the whole width, ``separate m`` one of the first ``m``
components alone. Cross-entropy with smoothed labels; every epoch sees each photograph once, as it is or as one of its views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.matryoshka.data import Data, Floats, note
from retrieval.encoders.training.losses import MatryoshkaHead
from tools.train_nano.inputs.data import unit_hash
from tools.train_nano.measure import unit
from tools.train_nano.targets.views import is_mixed, view_features, view_sources

NESTING = (8, 16, 32, 64, 128, 256)
"""The paper's, which starts at 8 and doubles."""

FEATURES, HIDDEN = 512, 512
BATCH = 256
SMOOTHING = 0.1
ROUNDS = 3  # views of each training photograph that the teacher has embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is chosen for each contender: AdamW's greatest rate and decay, and how often each photograph is seen."""

    rate: float
    decay: float
    epochs: int

    @property
    def name(self) -> str:
        """What files made with it are called."""
        return f"{self.rate:g}-{self.decay:g}-{self.epochs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a head learns from.

    Attributes:
        views: ``(n, v, FEATURES)``: each photograph as it is, then altered views of it; where there are fewer, it stands
            again as it is.
        labels: ``(n,)`` class numbers.
    """

    views: Floats
    labels: NDArray[np.int64]

    def of(self, places: NDArray[Any]) -> Lesson:
        """Return the part at some places, its classes numbered anew."""
        labels = np.unique(self.labels[places], return_inverse=True)[1].astype(np.int64)
        return Lesson(views=self.views[places], labels=labels)


def training_rows(data: Data, *, most: int) -> NDArray[np.int64]:
    """Return the labelled training photographs, at most ``most`` a class, always the same ones; rising.

    Without a limit, eleven classes of the 282 would hold two fifths of the photographs.
    """
    rows = np.flatnonzero((data.split == "train") & (data.labels >= 0))
    order = sorted(rows, key=lambda row: unit_hash(f"cap:{data.photos[row].file}"))
    kept: dict[int, list[int]] = {}
    for row in order:
        mine = kept.setdefault(int(data.labels[row]), [])
        if len(mine) < most:
            mine.append(int(row))
    return np.array(sorted(row for mine in kept.values() for row in mine), dtype=np.int64)


def validation_places(labels: NDArray[np.int64], *, every: int = 6) -> NDArray[np.bool_]:
    """Mark each ``every``-th photograph of a class, never its first: what settings are chosen on."""
    marked = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        marked[mine[every - 1 :: every]] = True
    return marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """The first principal directions of the teacher's features: less than half of the work, nearly all of what is in them.

    Attributes:
        mean: ``(1280,)``, of the unit rows it was fitted on.
        axes: ``(1280, FEATURES)``, scaled so that a component has unit variance on average.
        energy: the share of the variance that is kept.
    """

    mean: Floats
    axes: Floats
    energy: float

    def __call__(self, rows: NDArray[Any]) -> Floats:
        """Reduce ``(n, 1280)`` rows of any length to ``(n, FEATURES)``."""
        return np.asarray((unit(rows) - self.mean) @ self.axes, dtype=np.float32)


def reduce(rows: NDArray[Any]) -> Reduced:
    """Fit on ``(n, 1280)`` training rows."""
    rows = unit(rows)
    mean = rows.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((rows - mean).T))
    values, axes = values[::-1], axes[:, ::-1][:, :FEATURES]
    held = float(values[:FEATURES].sum())
    scale = (FEATURES / held) ** 0.5
    return Reduced(mean=mean, axes=(axes * scale).astype(np.float32), energy=held / float(values.sum()))


def lesson(data: Data, rows: NDArray[np.int64], reduced: Reduced) -> Lesson:
    """Gather the features of some training photographs and of the unmixed views of them."""
    _, made = view_features(data.data, data.pixels, view_sources(data.photos), data.prepared, note=note)
    train = np.flatnonzero(data.split == "train")
    place = {int(row): number for number, row in enumerate(train)}
    views = np.repeat(reduced(data.features()[rows])[:, np.newaxis], 1 + ROUNDS, axis=1)  # (n, v, f)
    for turn in range(ROUNDS):
        numbers = np.array([turn * len(train) + place[int(row)] for row in rows])
        whole = np.array([not is_mixed(int(view)) for view in numbers])  # a mixture has no label
        views[whole, 1 + turn] = reduced(made[numbers[whole]])
    labels = np.unique(data.labels[rows], return_inverse=True)[1].astype(np.int64)
    return Lesson(views=views, labels=labels)


def nesting_of(name: str) -> tuple[int, ...]:
    """Return the prefixes that a contender is trained for."""
    kind, _, part = name.partition(" ")
    if kind == "separate":
        return (int(part),)
    return NESTING[-1:] if kind == "plain" else NESTING


def network() -> nn.Sequential:
    """Return an untrained head, ``(b, FEATURES)`` to ``(b, 256)`` raw rows."""
    return nn.Sequential(
        nn.Linear(FEATURES, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, NESTING[-1])
    )


def train(
    name: str,
    given: Lesson,
    setting: Setting,
    *,
    seed: int,
    steps: int | None = None,
) -> nn.Sequential:
    """Train one contender: AdamW, a warm-up of a twentieth, then a cosine to nothing.

    Args:
        name: ``nested``, ``nested, shared``, ``plain`` or ``separate WIDTH``.
        given: what is learned from.
        setting: rate, decay, epochs.
        seed: of the start, the order and the views. Contenders of one seed see the same in the same order.
        steps: how many, where not as many as the epochs have.
    """
    torch.manual_seed(seed)
    tower = network()
    nesting = nesting_of(name)
    classifiers = MatryoshkaHead(
        nesting, int(given.labels.max()) + 1, shared=name.endswith("shared"), smoothing=SMOOTHING
    )
    # A sum over prefixes has several times the gradient of one term; AdamW's steps do not depend on that.
    parameters = [*tower.parameters(), *classifiers.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": setting.decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=setting.rate,
        fused=True,
    )
    batch = min(BATCH, len(given.labels))
    total = steps or setting.epochs * (len(given.labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, setting.rate, total_steps=max(2, total), pct_start=0.05, cycle_momentum=False
    )
    numbers = np.random.default_rng(seed)
    truth = torch.from_numpy(given.labels)
    order = np.empty(0, dtype=np.int64)
    tower.train()
    for _ in range(total):
        if len(order) < batch:
            order = numbers.permutation(len(given.labels))
        chosen, order = order[:batch], order[batch:]
        which = numbers.integers(given.views.shape[1], size=batch)
        value = classifiers(tower(torch.from_numpy(given.views[chosen, which])), truth[chosen])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        schedule.step()
    return tower.eval()


def embed(tower: nn.Module, rows: Floats) -> Floats:
    """Embed ``(n, FEATURES)`` rows: ``(n, 256)`` raw rows."""
    with torch.inference_mode():
        return np.asarray(tower(torch.from_numpy(rows)).numpy(), dtype=np.float32)

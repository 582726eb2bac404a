"""Train old and new heads on frozen features of photographs, by the protocol of the papers on compatible training.

A model is a two-layer perceptron (1280 → 512 → d, ReLU, dropout 0.2 on the features) on MobileNetV2 features that stay as they
are. The old one (d = 64) sees the training images of half of the classes, the new one those of all classes. Adam, 1e-3 falling
to 0 by a cosine, 30 epochs of batches of 128, label smoothing 0.1, weight decay 1e-4; normalised classifiers with scale 16.

- independent: cross-entropy alone, d = 96;
- BCT: cross-entropy and the influence loss through the old classifier (for new classes: mean old vectors), d = 64;
- OCA: `retrieval.encoders.training.compatible_training.OrthogonalCompatible`, d = 96, of which the first 64 live in the old space.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from benchmarks.frame import spread
from indexes.vectors.metrics import compatibility
from retrieval.encoders.training.compatible_training import (
    OrthogonalCompatible,
    class_prototypes,
    influence_loss,
)

OLD, NEW = 64, 96
EPOCHS, BATCH, SCALE = 30, 128, 16.0
TEST_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """A collection of labelled photographs.

    Attributes:
        name: its folder.
        features: ``(n, 1280)`` float32 unit rows.
        labels: ``(n,)`` int64.
        classes: how many.
    """

    name: str
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int


def load_set(data: Path, work: Path, name: str) -> Set:
    """Return a collection's features and labels; classes of fewer than 10 images and the clutter class are left out."""
    from tools.train_nano.inputs.data import list_photos
    from tools.train_nano.prepare import CLUTTER
    from tools.train_nano.targets.teachers import mobilenet_features

    photos = list_photos(data)
    rows = mobilenet_features(data, photos, work / "mobilenet.npy")
    with (data / "images" / name / "labels.csv").open(newline="", encoding="utf-8") as file:
        known = {line["label"] for line in csv.DictReader(file)} - {CLUTTER}
    mine = [place for place, photo in enumerate(photos) if photo.group == name and photo.label in known]
    words, codes, counts = np.unique(
        [photos[place].label for place in mine], return_inverse=True, return_counts=True
    )
    kept = np.flatnonzero(counts >= 10)
    code = np.full(len(words), -1, dtype=np.int64)
    code[kept] = np.arange(len(kept))
    labels = code[codes]
    inside = labels >= 0
    features = np.asarray(rows[np.array(mine)[inside]], dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Set(name=name, features=features, labels=labels[inside], classes=len(kept))


class Head(nn.Module):
    """A perceptron on frozen features."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 512), nn.ReLU(), nn.Linear(512, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw vectors ``(n, dim)``."""
        out: torch.Tensor = self.layers(x * 35.8)  # unit rows to unit variance a component
        return out


class CosineLoss(nn.Module):
    """Cross-entropy over scaled cosines with learned class vectors."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim) / dim**0.5)

    def forward(self, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean over the batch."""
        logits = SCALE * F.normalize(vectors, dim=1) @ F.normalize(self.weight, dim=1).T
        return F.cross_entropy(logits, labels, label_smoothing=0.1)


def train(
    x: torch.Tensor, y: torch.Tensor, *, dim: int, loss: nn.Module, seed: int, extra: Any = None
) -> Head:
    """Train a head and the parameters of its loss; ``extra(vectors, labels)`` is added to it."""
    torch.manual_seed(seed)
    head = Head(dim)
    parameters = [*head.parameters(), *loss.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    head.train()
    for _ in range(EPOCHS):
        for picked in torch.randperm(len(x)).split(BATCH):
            vectors = head(x[picked])
            value = loss(vectors, y[picked])
            if extra is not None:
                value = value + extra(vectors, y[picked])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            schedule.step()
    return head.eval()


def embed(head: Head, x: torch.Tensor) -> torch.Tensor:
    """Return unit rows ``(n, dim)``."""
    with torch.inference_mode():
        return F.normalize(head(x), dim=1)


def right(query: torch.Tensor, gallery: torch.Tensor, labels: torch.Tensor) -> NDArray[np.bool_]:
    """Return which queries' first hit among the other test images has their label, by the leading common dimensions."""
    dim = min(query.shape[1], gallery.shape[1])
    scores = F.normalize(query[:, :dim], dim=1) @ F.normalize(gallery[:, :dim], dim=1).T
    scores.fill_diagonal_(-2)
    return np.asarray(labels[scores.argmax(1)] == labels)


def one(data: Set, *, seed: int) -> dict[str, Any]:
    """Train and test everything once."""
    draws = np.random.default_rng(seed)
    order = draws.permutation(data.classes)
    labels = torch.as_tensor(np.argsort(order)[data.labels])  # the old model's classes come first
    test = np.zeros(len(labels), dtype=np.bool_)
    for label in range(data.classes):
        mine = draws.permutation(np.flatnonzero(labels.numpy() == label))
        test[mine[: max(2, round(TEST_SHARE * len(mine)))]] = True
    x = torch.as_tensor(data.features)
    x_train, y_train, x_test, y_test = x[~test], labels[~test], x[test], labels[test]
    half = data.classes // 2
    early = y_train < half
    first = CosineLoss(OLD, half)
    old = train(x_train[early], y_train[early], dim=OLD, loss=first, seed=seed)
    old_train, old_test = embed(old, x_train), embed(old, x_test)
    prototypes = class_prototypes(old_train, y_train, classes=data.classes)
    classifier = torch.cat([first.weight.detach(), prototypes[half:]])
    heads = {
        "independent": train(x_train, y_train, dim=NEW, loss=CosineLoss(NEW, data.classes), seed=seed + 100),
        "bct": train(
            x_train,
            y_train,
            dim=OLD,
            loss=CosineLoss(OLD, data.classes),
            seed=seed + 100,
            extra=lambda vectors, y: influence_loss(vectors, y, classifier),
        ),
        "oca": train(x_train, y_train, dim=NEW, loss=OrthogonalCompatible(NEW, prototypes), seed=seed + 100),
    }
    old_old = right(old_test, old_test, y_test)
    flags = {}
    methods = {}
    for name, head in heads.items():
        new = embed(head, x_test)
        new_old, new_new = right(new, old_test, y_test), right(new, new, y_test)
        matrix = np.array([[old_old.mean(), np.nan], [new_old.mean(), new_new.mean()]])
        ac, am = compatibility(matrix)
        methods[name] = {
            "new_old": float(new_old.mean()),
            "new_new": float(new_new.mean()),
            "ac": ac,
            "am": am,
        }
        flags[name] = new_new
    apart = flags["oca"].astype(float) - flags["independent"]
    return {
        "seed": seed,
        "test": int(test.sum()),
        "old_old": float(old_old.mean()),
        "methods": methods,
        "oca_less_independent": float(apart.mean()),
        "oca_less_independent_95": bootstrap(apart, seed=seed),
    }


def bootstrap(values: NDArray[np.float64], *, seed: int, rounds: int = 2000) -> list[float]:
    """Return the 95 % interval of a mean of paired differences, by resampling queries."""
    draws = np.random.default_rng(seed)
    means = [values[draws.integers(0, len(values), len(values))].mean() for _ in range(rounds)]
    return [float(value) for value in np.percentile(means, [2.5, 97.5])]


def compare(data: Set, *, seeds: int) -> dict[str, Any]:
    """Train and test with several seeds; print and return what was found."""
    runs = [one(data, seed=seed) for seed in range(seeds)]
    apart = np.array([run["oca_less_independent"] for run in runs])
    # Student's t for a two-sided 95 % interval, by degrees of freedom.
    factor = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}[seeds - 1]
    half = factor * float(apart.std(ddof=1)) / seeds**0.5
    methods = {
        name: {
            key: spread([float(run["methods"][name][key]) for run in runs])
            for key in ("new_old", "new_new", "ac", "am")
        }
        for name in ("independent", "bct", "oca")
    }
    found = {
        "set": data.name,
        "images": len(data.labels),
        "classes": data.classes,
        "old_classes": data.classes // 2,
        "old_old": spread([run["old_old"] for run in runs]),
        "methods": methods,
        "oca_new_old_beats_old_old": [run["methods"]["oca"]["new_old"] > run["old_old"] for run in runs],
        "oca_new_old_beats_bct": [
            run["methods"]["oca"]["new_old"] > run["methods"]["bct"]["new_old"] for run in runs
        ],
        "oca_less_independent": {
            "mean": float(apart.mean()),
            "low": float(apart.mean()) - half,
            "high": float(apart.mean()) + half,
        },
        "runs": runs,
    }
    print(
        f"{data.name}: {data.classes // 2} -> {data.classes} classes, old/old {found['old_old'].median:.3f}"
    )
    for name, facts in methods.items():
        print(
            f"  {name:11} new/old {facts['new_old'].median:.3f} new/new {facts['new_new'].median:.3f} "
            f"AC {facts['ac'].median:.2f} AM {facts['am'].median:.3f}"
        )
    print(
        f"  OCA less independent, new/new: {apart.mean():+.4f} ({apart.mean() - half:+.4f} to {apart.mean() + half:+.4f})"
    )
    return found

"""What nano@2 is trained on: photographs and crops of them, nano@1's vectors, what the teacher knows beyond these, groups."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.encoders.families.nano import WEIGHTS, NanoEncoder
from retrieval.encoders.families.nano_torch import read_querybank
from tools.train_nano.augment import augment, light, normalised
from tools.train_nano.embedding import embed_images
from tools.train_nano.measure import unit
from tools.train_nano.prepare import prepare
from tools.train_nano.teachers import mobilenet_features
from tools.train_nano.views import is_mixed, view_features, view_sources
from tools.train_oca.tower import EXTRA

CLASSES = 400
# Of one part of a batch: photographs, each once as it is and once altered; crops, and as many mixed views.
OWN, VIEWS = 18, 14
OTHERS = 1024
EXTRA_WEIGHT = 0.5
SIDE = 112


def beyond(old: NDArray[np.float32], teacher: NDArray[np.float32], train: NDArray[np.int64]) -> Any:
    """Fit what the teacher knows beyond the old vectors; return a function of both: ``(n, EXTRA)`` unit rows."""
    x, y = old[train].astype(np.float64), teacher[train].astype(np.float64)
    mean_x, mean_y = x.mean(0), y.mean(0)
    gram = (x - mean_x).T @ (x - mean_x)
    matrix = np.linalg.solve(
        gram + 1e-2 * np.trace(gram) / len(gram) * np.eye(len(gram)), (x - mean_x).T @ (y - mean_y)
    )
    rest = y - mean_y - (x - mean_x) @ matrix
    _, axes = np.linalg.eigh(rest.T @ rest)
    axes = axes[:, ::-1][:, :EXTRA]

    def place(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        found = (b - mean_y - (a - mean_x) @ matrix) @ axes
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        return np.asarray(found, dtype=np.float32)

    return place


def clusters(rows: NDArray[np.float32], *, count: int, rounds: int = 12) -> NDArray[np.int64]:
    """Group unit rows around ``count`` directions (spherical k-means): ``(n,)``; no group is empty."""
    draws = np.random.default_rng(3)
    centres = rows[draws.choice(len(rows), count, replace=False)]
    own = np.zeros(len(rows), dtype=np.int64)
    for _ in range(rounds):
        own = (rows @ centres.T).argmax(1)
        for group in np.flatnonzero(np.bincount(own, minlength=count) == 0):
            largest = np.bincount(own, minlength=count).argmax()
            own[np.flatnonzero(own == largest)[0]] = group
        sums = np.zeros_like(centres)
        np.add.at(sums, own, rows)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pictures and what is wanted of their vectors; ``m`` other photographs' old vectors are there to be told from.

    ``images`` ``(b, 3, s, s)`` in [0, 1]; ``target`` ``(b, OLD + EXTRA)``; ``old`` ``(b, OLD)`` nano@1's vectors of the whole
    photographs ``owners`` ``(b,)``; ``groups`` ``(b,)``; ``others`` ``(m, OLD)``, ``other_owners`` ``(m,)``. ``mixed``
    ``(c, 3, s, s)`` are of two photographs and so nobody's copy; ``mixed_target`` ``(c, OLD)``.
    """

    images: torch.Tensor
    target: torch.Tensor
    old: torch.Tensor
    owners: torch.Tensor
    groups: torch.Tensor
    others: torch.Tensor
    other_owners: torch.Tensor
    mixed: torch.Tensor
    mixed_target: torch.Tensor


class Data:
    """Photographs, altered copies, crops and mixtures of them, and the targets of each.

    The first columns' target lies halfway between nano@1's vector of the whole photograph, which is what an old gallery
    holds, and what nano@1 was taught, as nano@1 would give it: a query at the latter finds more of the same kind in that
    gallery than one that repeats the old vector's own errors. A view of two photographs is in no gallery; its target is what nano@1 was taught.

    Args:
        data: the data folder.
        wordnet: the folder of WordNet's dictionary.
        work: the folder of `tools.train_nano`'s arrays, whether made or not yet.
        old: nano@1.
        most: photographs to train on at most, for a trial; None for all.
    """

    def __init__(
        self, data: Path, wordnet: Path, work: Path, old: NanoEncoder, *, most: int | None = None
    ) -> None:
        self.most = most
        self.photos, taught = prepare(data, wordnet, work)
        self.pixels, self.views = taught.pixels, taught.views
        features = unit(mobilenet_features(data, self.photos, work / "mobilenet.npy"))
        sources = view_sources(self.photos)
        view_rows = view_features(data, self.pixels, sources, work)[1]
        self.train = (
            taught.train
            if most is None
            else np.sort(np.random.default_rng(1).permutation(taught.train)[:most])
        )
        weights = taught.weights[np.searchsorted(taught.train, self.train)]
        self.weights = weights / weights.sum()  # everyday scenes are drawn more often, as for nano@1
        views = np.flatnonzero(np.isin(sources, self.train))
        mixed = np.array([is_mixed(int(view)) for view in views])
        self.whole, self.mixed = views[~mixed], views[mixed]
        self.owner = np.searchsorted(self.train, sources[self.whole])
        began = time.monotonic()
        self.old = embed_images(old, self.pixels[self.train])  # (n, 256)
        print(f"nano@1 of {len(self.train):,} photographs: {time.monotonic() - began:.0f} s", flush=True)
        bank = read_querybank(WEIGHTS / "nano-1" / "image.safetensors")
        assert bank is not None  # nano@1 has one  # noqa: S101
        # As nano@1 gives vectors, which end with what its bank of texts says.
        taught_rows, taught_views = (
            bank(torch.from_numpy(targets)).numpy()
            for targets in (taught.targets[self.train], taught.view_targets)
        )
        place = beyond(self.old, features[self.train], np.arange(len(self.train)))
        self.target = joined(self.old, taught_rows, place(self.old, features[self.train]))
        self.view_target = np.concatenate(
            [
                joined(
                    self.old[owner],
                    taught_views[views],
                    place(self.old[owner], unit(view_rows[views])),
                )
                for owner, views in zip(blocks(self.owner), blocks(self.whole), strict=True)
            ]
        )
        self.mixed_target = taught_views[self.mixed]
        self.group = clusters(features[self.train], count=CLASSES)

    def sample(self, count: int) -> torch.Tensor:
        """Return some preprocessed photographs ``(count, 3, s, s)``."""
        rows = self.train[:: max(1, len(self.train) // count)][:count]
        return normalised(light(self.pixels[rows], SIDE, seed=0, device=torch.device("cpu")))

    def batch(self, number: int) -> Batch:
        """Return one part of a batch: photographs, altered copies of the same, crops, and views of two photographs."""
        draws = np.random.default_rng((9, number))
        rows = draws.choice(len(self.train), min(OWN, len(self.train)), replace=False, p=self.weights)
        views = draws.choice(len(self.whole), min(VIEWS, len(self.whole)), replace=False)
        mixed = draws.choice(len(self.mixed), min(VIEWS, len(self.mixed)), replace=False)
        others = draws.choice(len(self.train), min(OTHERS, len(self.train)), replace=False)
        photographs, cpu = self.pixels[self.train[rows]], torch.device("cpu")
        images = [
            light(photographs, SIDE, seed=number, device=cpu),
            augment(photographs, SIDE, seed=number, device=cpu),
            light(self.views[self.whole[views]], SIDE, seed=number + 1, device=cpu),
        ]
        owners = np.concatenate([rows, rows, self.owner[views]])
        target = np.concatenate([self.target[rows], self.target[rows], self.view_target[views]])
        return Batch(
            images=torch.cat(images),
            target=torch.from_numpy(target),
            old=torch.from_numpy(self.old[owners]),
            owners=torch.from_numpy(owners),
            groups=torch.from_numpy(self.group[owners]),
            others=torch.from_numpy(self.old[others]),
            other_owners=torch.from_numpy(others),
            mixed=light(self.views[self.mixed[mixed]], SIDE, seed=number + 2, device=cpu),
            mixed_target=torch.from_numpy(self.mixed_target[mixed]),
        )


def joined(
    old: NDArray[np.float32], taught: NDArray[np.float32], extra: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the targets ``(n, OLD + EXTRA)`` of unit rows: old vectors drawn to what was taught, and what is new."""
    return np.concatenate([unit(old + taught), EXTRA_WEIGHT * extra], axis=1)


def blocks(rows: NDArray[np.int64], size: int = 4096) -> list[NDArray[np.int64]]:
    """Cut row numbers into blocks."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]

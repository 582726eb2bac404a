"""What nano@2 is trained on: photographs and crops of them, nano@1's vectors, what the teacher knows beyond these, groups."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from retrieval.encoders.nano import NanoEncoder
from retrieval.encoders.nano_torch import ImageTower
from tools.train_nano.data import decode_all, list_photos
from tools.train_nano.embedding import embed_images
from tools.train_nano.measure import unit
from tools.train_nano.teachers import mobilenet_features
from tools.train_nano.train import normalised
from tools.train_nano.views import is_mixed, view_features, view_sources
from tools.train_oca.tower import EXTRA, SIDE, trunk

CLASSES = 400
BATCH = 128


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


class Data:
    """What is trained on: photographs, crops of them, and the targets of both.

    Args:
        data: the data folder.
        work: the folder of `tools.train_nano`'s arrays, whether made or not yet; two more are written there.
        old: nano@1.
        crops: how many to train on at most.
        most: photographs to train on at most, for a trial; None for all.
    """

    def __init__(
        self, data: Path, work: Path, old: NanoEncoder, *, crops: int, most: int | None = None
    ) -> None:
        self.work, self.most = work, most
        self.photos = list_photos(data)
        self.pixels = decode_all(data, self.photos, work / "pixels.npy")
        features = unit(mobilenet_features(data, self.photos, work / "mobilenet.npy"))
        train = np.flatnonzero([photo.split == "train" for photo in self.photos])
        self.train = train if most is None else np.sort(np.random.default_rng(1).permutation(train)[:most])
        sources = view_sources(self.photos)
        self.views, view_rows = view_features(data, self.pixels, sources, work)
        # Mixed views have no photograph of their own.
        self.whole = np.array(
            [view for view in np.flatnonzero(np.isin(sources, self.train)) if not is_mixed(int(view))]
        )[:crops]
        began = time.monotonic()
        self.old = embed_images(old, self.pixels[self.train])  # (n, 256)
        print(f"nano@1 of {len(self.train):,} photographs: {time.monotonic() - began:.0f} s", flush=True)
        place = beyond(self.old, features[self.train], np.arange(len(self.train)))
        self.extra = place(self.old, features[self.train])  # (n, EXTRA)
        self.owner = np.searchsorted(self.train, sources[self.whole])
        self.view_extra = np.concatenate(
            [
                place(
                    self.old[self.owner[start : start + 4096]],
                    unit(view_rows[self.whole[start : start + 4096]]),
                )
                for start in range(0, len(self.whole), 4096)
            ]
        )
        self.group = clusters(features[self.train], count=CLASSES)

    def look(self, tower: ImageTower) -> None:
        """Compute what the stages that stay give, once."""
        began = time.monotonic()
        self.seen = trunk(tower, self.pixels, self.train, self.work / "trunk.npy")
        self.view_seen = trunk(tower, self.views, self.whole, self.work / "trunk_views.npy")
        total = len(self.seen) + len(self.view_seen)
        print(f"the stages that stay, of {total:,} pictures: {time.monotonic() - began:.0f} s", flush=True)

    def sample(self, count: int) -> torch.Tensor:
        """Return some preprocessed photographs ``(count, 3, s, s)``."""
        x = torch.from_numpy(self.pixels[self.train[:: len(self.train) // count][:count]])
        x = F.interpolate(
            x.permute(0, 3, 1, 2).float() / 255, size=(SIDE, SIDE), mode="bicubic", antialias=True
        )
        return normalised(x.clamp(0, 1)).contiguous(memory_format=torch.channels_last)

    def batch(self, step: int) -> tuple[torch.Tensor, ...]:
        """Return inputs of `Last`, old vectors, extra targets and groups of a batch: a third photographs, the rest crops."""
        draws = np.random.default_rng((9, step))
        rows = np.sort(draws.choice(len(self.train), BATCH // 3, replace=False))
        views = np.sort(draws.choice(len(self.whole), BATCH - BATCH // 3, replace=False))
        x = np.concatenate([self.seen[rows], self.view_seen[views]]).astype(np.float32)
        both = np.concatenate([rows, self.owner[views]])
        extra = np.concatenate([self.extra[rows], self.view_extra[views]])
        return (
            torch.from_numpy(x).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(self.old[both]),
            torch.from_numpy(extra),
            torch.from_numpy(self.group[both]),
        )

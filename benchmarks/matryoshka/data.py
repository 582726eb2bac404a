"""The photographs that `bench_matryoshka` measures on: labels, splits, and nano's vectors of them, made once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import retrieval
from tools.train_nano.inputs.data import decode_all, list_photos
from tools.train_nano.prepare import CLUTTER
from tools.train_nano.targets.views import crop

WIDTHS = (16, 32, 64, 128, 256)
SETS = ("caltech101", "imagenette", "clothing")

Floats = NDArray[np.float32]


class Data:
    """The photographs, their labels and splits, and nano's vectors of them, made once."""

    def __init__(self, data: Path, prepared: Path, work: Path, *, most: int | None) -> None:
        self.photos = list_photos(data)
        self.pixels = decode_all(data, self.photos, prepared / "pixels.npy", note=note)
        self.prepared, self.work, self.most = prepared, work, most
        self.data = data
        self.group = np.array([photo.group for photo in self.photos])
        self.split = np.array([photo.split for photo in self.photos])
        names = [
            f"{photo.group}/{photo.label}" if photo.label and photo.label != CLUTTER else ""
            for photo in self.photos
        ]
        known = sorted(set(names) - {""})
        place = {name: number for number, name in enumerate(known)}
        self.labels = np.array([place.get(name, -1) for name in names])
        self.encoder = retrieval.load_encoder("nano")

    def held(self, group: str) -> NDArray[np.int64]:
        """Return the labelled photographs of a collection that no training saw."""
        rows = np.flatnonzero((self.group == group) & (self.split != "train") & (self.labels >= 0))
        return rows[: self.most] if self.most else rows

    def features(self) -> Floats:
        """Return the teacher's features of all photographs."""
        from tools.train_nano.targets.teachers import mobilenet_features

        return np.asarray(
            mobilenet_features(self.data, self.photos, self.prepared / "mobilenet.npy", note=note)
        )

    def encode(self, images: Callable[[int], Image.Image], count: int, name: str) -> Floats:
        """Embed pictures with nano; kept in the work folder under ``name`` and the weights' fingerprint."""
        path = self.work / f"{name}-{count}-{self.encoder.space.fingerprint[:12]}.npy"
        if path.exists():
            return np.load(path)
        rows = []
        for start in range(0, count, 64):
            batch = [
                self.encoder.preprocess(images(number)) for number in range(start, min(start + 64, count))
            ]
            rows.append(self.encoder.encode_pixels(np.stack(batch)))
            if start % 6400 == 0:
                note(f"{name}: embedded {start:,} of {count:,}")
        np.save(path, np.concatenate(rows))
        return np.concatenate(rows)

    def vectors(self, rows: NDArray[np.int64], name: str) -> Floats:
        """Return nano's vectors of some photographs."""
        return self.encode(lambda number: Image.fromarray(self.pixels[rows[number]]), len(rows), name)

    def views(self, rows: NDArray[np.int64], name: str, *, seed: int, least: float = 0.5) -> Floats:
        """Return nano's vectors of one altered view of each photograph: a crop of half or more, perhaps turned, mirrored."""

        def view(number: int) -> Image.Image:
            return crop(self.pixels[rows[number]], least, np.random.default_rng((seed, number)))

        return self.encode(view, len(rows), f"{name}-{seed}")


def note(text: str) -> None:
    """Say on stderr how it goes."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)

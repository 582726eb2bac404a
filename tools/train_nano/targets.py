"""What nano must give for a photograph: the teacher's features and the words that fit, rotated into 256 columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.data import Photo
from tools.train_nano.joint import ridge, softmax
from tools.train_nano.measure import unit
from tools.train_nano.teachers import load_mobilenet

Rows = NDArray[np.float32]
POWER = 0.25
WORDS_WEIGHT = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoWords:
    """The map from teacher features to CLIP's space, by real CLIP vectors alone.

    Features enter it twice: by a ridge map fitted on real CLIP image vectors, and by the mean text vector of the ImageNet
    names that the teacher gives, of those names that have a real CLIP vector.
    """

    mean: Rows
    image_map: Rows
    classifier: Rows
    bias: Rows
    classes: Rows

    def place(self, features: NDArray[Any]) -> Rows:
        """Map ``(n, 1280)`` teacher features to ``(n, 512)`` unit rows."""
        wide = features.astype(np.float32)
        mapped = (unit(wide) - self.mean) @ self.image_map
        shares = softmax(wide @ self.classifier.T + self.bias)
        return unit(unit(mapped) + unit(shares @ self.classes))


def fit_photo_words(data: Path, photos: list[Photo], features: NDArray[Any]) -> PhotoWords:
    """Fit on training photographs only."""
    train = np.array([photo.split == "train" for photo in photos])
    rows = unit(features)
    mean = rows[train].mean(0)
    stored = np.load(data / "clip_images" / "vectors.npz")
    vector_of = {str(name): row for name, row in zip(stored["name"], unit(stored["vector"]), strict=True)}
    own = [i for i, photo in enumerate(photos) if photo.group == "clip_images" and photo.split == "train"]
    clip = np.stack([vector_of[Path(photos[i].file).name] for i in own])
    names = np.load(data / "teachers" / "clip_text_names.npz")
    vectors = unit(names["vector"])
    vectors -= vectors.mean(0)
    text_of = {str(name): row for name, row in zip(names["name"], vectors, strict=True)}
    lines = (data / "teachers" / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()
    kept, classes = [], []
    for i, line in enumerate(lines):
        known = [text_of[name] for name in line.strip().lower().split(", ") if name in text_of]
        if known:
            kept.append(i)
            classes.append(np.mean(known, 0))
    network: Any = load_mobilenet(data)
    return PhotoWords(
        mean=mean,
        image_map=ridge(rows[own] - mean, clip - clip.mean(0), 1.0),
        classifier=network.classifier.weight.detach().numpy()[kept, :, 0, 0],
        bias=network.classifier.bias.detach().numpy()[kept],
        classes=np.stack(classes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMap:
    """The map from teacher features to nano's targets; the widest axes come first, as Matryoshka training wants."""

    words: PhotoWords
    mean: Rows
    axes: Rows
    joint_mean: Rows
    joint_axes: Rows

    def _joined(self, features: NDArray[Any]) -> Rows:
        seen = unit((unit(features) - self.mean) @ self.axes)
        return np.concatenate([seen, WORDS_WEIGHT * self.words.place(features)], 1)

    def place(self, features: NDArray[Any]) -> Rows:
        """Map ``(n, 1280)`` teacher features to ``(n, 256)`` targets, not normalised."""
        parts = [
            (self._joined(features[i : i + 8192]) - self.joint_mean) @ self.joint_axes
            for i in range(0, len(features), 8192)
        ]
        return np.concatenate(parts).astype(np.float32)


def fit_target_map(
    data: Path, photos: list[Photo], features: NDArray[np.float16], *, dim: int = 256
) -> TargetMap:
    """Fit on training photographs only: features partly whitened and joined with words, cut to principal axes."""
    train = np.array([photo.split == "train" for photo in photos])
    rows = unit(features[train])
    mean = rows.mean(0)
    variance, axes = np.linalg.eigh(np.cov((rows - mean).T))
    variance, axes = variance[::-1][:dim], axes[:, ::-1][:, :dim]
    words = fit_photo_words(data, photos, features)
    start = TargetMap(
        words=words,
        mean=mean,
        axes=(axes * variance ** (-POWER / 2)).astype(np.float32),
        joint_mean=np.zeros(0, np.float32),
        joint_axes=np.zeros(0, np.float32),
    )
    joined = start._joined(features[train])
    joint_mean = joined.mean(0)
    _, joint_axes = np.linalg.eigh(np.cov((joined - joint_mean).T))
    return TargetMap(
        words=words,
        mean=mean,
        axes=start.axes,
        joint_mean=joint_mean,
        joint_axes=joint_axes[:, ::-1][:, :dim].astype(np.float32),
    )

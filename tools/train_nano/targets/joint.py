"""A space that photographs and words share before nano exists, from the teachers' outputs alone.

Photographs enter CLIP's text space twice: by a ridge map from teachers' features (MobileNetV2's, and EfficientNet-Lite2's where there
are some) to real CLIP image vectors, and by the mean text vector of the ImageNet names that the teachers give them. Sentences enter by a ridge map from the sentence
encoder to real CLIP text vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.train_nano.inputs.corpus import Text
from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.targets.teachers import FEATURES, classifiers

Rows = NDArray[np.float32]
CENTROID_TEMPERATURE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSpace:
    """Where words lie: ``mean`` CLIP text vector taken off; known names have their real vectors."""

    known: dict[str, Rows]
    sentence_mean: Rows
    sentence_map: Rows

    def place(self, texts: list[str], sentences: Rows) -> Rows:
        """Give ``(t, 512)`` centred CLIP text vectors, real ones where the name is known."""
        rows = (sentences - self.sentence_mean) @ self.sentence_map
        for i, text in enumerate(texts):
            if text in self.known:
                rows[i] = self.known[text]
        return unit(rows)


def ridge(x: Rows, y: Rows, strength: float, weights: Rows | None = None) -> Rows:
    """Fit ``y ≈ x @ map`` by least squares with an L2 penalty."""
    weighted = x if weights is None else x * weights[:, None]
    solved: Rows = np.linalg.solve(x.T @ weighted + strength * np.eye(x.shape[1]), weighted.T @ y).astype(
        np.float32
    )
    return solved


def fit_words(data: Path, texts: list[Text], sentences: Rows) -> WordSpace:
    """Fit the map from sentence vectors to CLIP text space on real CLIP vectors of names and of LVIS sentences."""
    names = np.load(data / "teachers" / "clip_text_names.npz")
    lvis = np.load(data / "teachers" / "clip_lvis.npz")
    clip = {str(name): row for name, row in zip(names["name"], unit(names["vector"]), strict=True)}
    described = {str(name): row for name, row in zip(lvis["name"], unit(lvis["text_mean"]), strict=True)}
    row_of = {text.text: i for i, text in enumerate(texts)}
    pairs = [(row_of[name], vector, 1.0) for name, vector in clip.items()]
    pairs += [(i, described[text.about], 0.25) for i, text in enumerate(texts) if text.kind == "sentence"]
    x, y = sentences[[i for i, _, _ in pairs]], np.stack([vector for _, vector, _ in pairs])
    weights = np.array([weight for _, _, weight in pairs], np.float32)
    x_mean, y_mean = (
        np.average(x, 0, weights).astype(np.float32),
        np.average(y, 0, weights).astype(np.float32),
    )
    return WordSpace(
        known={name: vector - y_mean for name, vector in clip.items()},
        sentence_mean=x_mean,
        sentence_map=ridge(x - x_mean, y - y_mean, 3.0, weights),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoWords:
    """Where photographs lie in the words' space.

    Teacher features enter it twice: by a ridge map fitted on real CLIP image vectors, and by the mean text vector of the
    ImageNet names that the teachers give.
    """

    mean: Rows  # (1280 k,)
    image_map: Rows  # (1280 k, 512)
    classifiers: list[tuple[Rows, Rows]]  # of each of k teachers: (1280, 1000) and (1000,)
    classes: Rows  # (1000, 512)

    def place(self, features: NDArray[Any]) -> Rows:
        """Map ``(n, 1280 k)`` features of k teachers to ``(n, 512)`` unit rows."""
        shares = self.shares(features)
        return unit(unit((seen_by(features) - self.mean) @ self.image_map) + unit(shares @ self.classes))

    def shares(self, features: NDArray[Any]) -> Rows:
        """Say how probable teachers find each of the thousand names, on average: ``(n, 1000)``."""
        wide = features.astype(np.float32)
        found = [
            softmax(wide[:, i * FEATURES : (i + 1) * FEATURES] @ weight + bias)
            for i, (weight, bias) in enumerate(self.classifiers)
        ]
        mean: Rows = np.mean(found, axis=0)
        return mean


def seen_by(features: NDArray[Any]) -> Rows:
    """Join what teachers see, ``(n, 1280 k)``, in equal parts: unit rows."""
    parts = [unit(features[:, at : at + FEATURES]) for at in range(0, features.shape[1], FEATURES)]
    joined: Rows = np.concatenate(parts, 1) / np.float32(len(parts) ** 0.5)
    return joined


def fit_photo_words(
    data: Path,
    photos: list[Photo],
    features: NDArray[Any],
    words: WordSpace,
    row_of: dict[str, int],
    sentences: Rows,
) -> PhotoWords:
    """Fit on training photographs only; ``row_of`` says which row of ``sentences`` a text has."""
    train = np.array([photo.split == "train" for photo in photos])
    rows = seen_by(features)
    mean = rows[train].mean(0)
    stored = np.load(data / "clip_images" / "vectors.npz")
    vector_of = {str(name): row for name, row in zip(stored["name"], unit(stored["vector"]), strict=True)}
    own = [i for i, photo in enumerate(photos) if photo.group == "clip_images" and photo.split == "train"]
    clip = np.stack([vector_of[Path(photos[i].file).name] for i in own])
    lines = (data / "teachers" / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()[1:]
    classes = []
    for line in lines:
        names = [name for name in line.strip().lower().split(", ") if name in row_of]
        classes.append(words.place(names, sentences[[row_of[name] for name in names]]).mean(0))
    return PhotoWords(
        mean=mean,
        image_map=ridge(rows[own] - mean, clip - clip.mean(0), 1.0),
        classifiers=classifiers(data, teachers=features.shape[1] // FEATURES),
        classes=np.stack(classes),
    )


def softmax(x: Rows) -> Rows:
    """Normalise rows to probabilities."""
    powers = np.exp(x - x.max(1, keepdims=True))
    shares: Rows = powers / powers.sum(1, keepdims=True)
    return shares


def centroids(placed: Rows, photo_words: Rows, photo_rows: Rows, *, bfloat16: bool = False) -> Rows:
    """Average the photographs that mean nearly what each text means: ``(t, d)``.

    In bfloat16 the products take a tenth of the time on CPUs with AMX; the similarities stay in float32.
    """
    if not bfloat16:
        found: Rows = softmax(placed @ photo_words.T / CENTROID_TEMPERATURE) @ photo_rows
        return found
    low = [torch.from_numpy(part).bfloat16() for part in (placed, photo_words, photo_rows)]
    near = torch.softmax((low[0] @ low[1].T).float() / CENTROID_TEMPERATURE, 1)
    mixed: Rows = (near.bfloat16() @ low[2]).float().numpy()
    return mixed


def text_targets(
    placed: Rows,
    photo_words: Rows,
    photo_rows: Rows,
    weights: NDArray[np.float64],
    *,
    bfloat16: bool = False,
) -> Rows:
    """Say where texts should lie in nano's image space: ``(t, 256)`` unit rows.

    The sum of three: the mean of the photographs that mean the same; a linear map of the words, which also reaches what no
    photograph shows; and half as much of the direction in which photographs must lie to mean these words, by a linear map
    from their rows to the words. The last finds more captions' photographs, the first two more names.

    Args:
        placed: ``(t, 512)`` texts in the words' space.
        photo_words: ``(n, 512)`` training photographs in the words' space.
        photo_rows: ``(n, 256)`` the same in nano's space.
        weights: ``(n,)`` how much each counts for the last.
        bfloat16: see `centroids`.
    """
    mean = photo_rows.mean(0)
    there = ridge(photo_words, photo_rows, 10.0)  # (512, 256)
    back = ridge(
        photo_rows - mean, photo_words - photo_words.mean(0), 100.0, weights.astype(np.float32)
    )  # (256, 512)
    out = np.empty((len(placed), photo_rows.shape[1]), np.float32)
    apart = photo_rows - mean
    for start in range(0, len(placed), 1024):
        part = placed[start : start + 1024]
        near = centroids(part, photo_words, apart, bfloat16=bfloat16)
        out[start : start + 1024] = unit(unit(near) + unit(part @ there)) + 0.5 * unit(part @ back.T)
    return unit(out)

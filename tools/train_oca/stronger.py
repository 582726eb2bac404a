"""Choose the target that nano@2's tower is trained further by: what two teachers see of a photograph, placed in nano@2's own space.

Words, the bank of texts and the way back to nano@1 fit the shipped space, so the teachers' features are turned into it and mixed with the
shipped vectors. ``python -m tools.train_oca targets`` tries them alone, joined, whitened, and whitened and joined, on training photographs that were left
out of each fit: by the target itself, and by a linear head on what the shipped tower sees, since the tower must be able to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano_text import TextTower
from retrieval.encoders.families.nano_torch import folded_tower, read_state
from tools.train_nano.inputs.data import Photo, decode_all, list_photos, unit_hash
from tools.train_nano.measure import first_is_own, nearest_accuracy, unit
from tools.train_nano.prepare import label_name
from tools.train_nano.targets.joint import ridge
from tools.train_nano.targets.teachers import efficientnet_features, mobilenet_features
from tools.train_oca.further import IMAGE, SHIPPED, Looked
from tools.train_oca.head import look, placed
from tools.train_oca.train import LOOKS

Rows = NDArray[np.float32]
LEFT_OUT = 0.2  # of the training photographs
AXES = 383  # of whitened features
HEAD_STRENGTH = 300.0
MAP_STRENGTH = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One target: which ``teachers`` (0 MobileNetV2, 1 EfficientNet-Lite2), how far whitened, how placed, and their ``share`` beside the shipped vector.

    ``power`` 0 leaves the features' axes as long as they are, 1 makes them equally long. ``turned`` places them by a turn, which keeps
    all that they tell apart; otherwise least squares keep what the shipped vectors tell too.
    """

    teachers: tuple[int, ...]
    power: float
    turned: bool
    share: float


def both_teachers(
    data: Path, photos: list[Photo], folder: Path, *, note: Callable[[str], None] = print
) -> list[NDArray[np.float16]]:
    """Embed all photographs with both teachers, ``(n, 1280)`` each; resumable, kept in ``folder``."""
    return [
        mobilenet_features(data, photos, folder / "mobilenet.npy", note=note),
        efficientnet_features(data, photos, folder / "lite2.npy", note=note),
    ]


def whitened(rows: Rows, fitted: NDArray[np.int64], *, power: float, axes: int = AXES) -> Rows:
    """Turn rows to their principal axes and shorten the long ones, by the rows ``fitted``: ``(n, axes)`` unit rows."""
    mean = rows[fitted].mean(0)
    variance, turn = np.linalg.eigh(np.cov((rows[fitted] - mean).T))
    variance, turn = variance[::-1][:axes], turn[:, ::-1][:, :axes]
    return unit((rows - mean) @ (turn * np.maximum(variance, 1e-9) ** (-power / 2)).astype(np.float32))


def placed_in(space: Rows, seen: Rows, fitted: NDArray[np.int64], *, turned: bool) -> Rows:
    """Place what is seen, ``(n, k)``, in the space of the rows ``space`` ``(n, d)``, by the rows ``fitted``.

    A turn is the orthogonal one (Schönemann, 1966). The rows' mean comes back, as words expect it.
    """
    mean = space[fitted].mean(0)
    x, y = seen[fitted] - seen[fitted].mean(0), space[fitted] - mean
    if turned:
        left, _, right = np.linalg.svd(x.T @ y, full_matrices=False)
        there = left @ right
        there *= np.linalg.norm(y) / np.linalg.norm(x @ there)
    else:
        there = ridge(x, y, MAP_STRENGTH)
    return np.asarray((seen - seen[fitted].mean(0)) @ there + mean, np.float32)


def target(
    choice: Choice, shipped: Rows, teachers: Sequence[NDArray[Any]], fitted: NDArray[np.int64]
) -> Rows:
    """Return the target of each photograph, ``(n, d)`` unit rows, beside the ``shipped`` ones ``(n, d)``."""
    if not choice.share:
        return unit(shipped)
    parts = [whitened(unit(np.asarray(teachers[i])), fitted, power=choice.power) for i in choice.teachers]
    seen = np.concatenate(parts, 1) / np.float32(len(parts) ** 0.5)
    if len(parts) > 1:
        seen = whitened(seen, fitted, power=0.0)
    told = placed_in(unit(shipped), seen, fitted, turned=choice.turned)
    return unit(unit(shipped) + np.float32(choice.share) * unit(told))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What choices are tried on.

    ``shipped`` ``(n, d)`` are the photographs' vectors without their last component, ``means`` ``(n, looks, c)`` what the tower sees of them, ``copies``
    ``(m, looks, c)`` of altered copies of those at ``own`` ``(m,)``; ``shares`` ``(looks,)`` how much each look counts.
    """

    photos: list[Photo]
    shipped: Rows
    teachers: Sequence[NDArray[Any]]
    means: Rows
    copies: Rows
    own: NDArray[np.int64]
    shares: Rows
    words: TextTower

    def run(self, choice: Choice) -> dict[str, dict[str, float]]:
        """Return what the target and a linear head toward it reach on photographs left out of both fits: ``target`` and ``head``."""
        left = np.array([unit_hash(f"target:{photo.file}") < LEFT_OUT for photo in self.photos])
        fitted = np.flatnonzero(~left)
        rows = target(choice, self.shipped, self.teachers, fitted)
        copied = ~left[self.own]
        x = np.concatenate([self.means[fitted], self.copies[copied]])
        y = np.concatenate([rows[fitted], rows[self.own[copied]]])
        middle = x.mean((0, 1))
        flat = (x - middle).reshape(-1, x.shape[-1])
        off = y.mean(0)
        head = ridge(flat, np.repeat(y - off, x.shape[1], 0), HEAD_STRENGTH)

        def place(seen: Rows) -> Rows:
            looks = unit(((seen - middle) @ head + off).reshape(-1, head.shape[1]))
            mixed: Rows = (self.shares[:, None] * looks.reshape(*seen.shape[:2], -1)).sum(1)
            return unit(mixed)

        answers = place(self.means)
        found = {"target": self._classes(rows, left), "head": self._classes(answers, left)}
        gallery = np.flatnonzero(left)
        asked = np.flatnonzero(left[self.own])
        own = np.searchsorted(gallery, self.own[asked])
        for name, dim in (("copies", None), ("copies_64", 64)):
            found["head"][name] = first_is_own(
                place(self.copies[asked])[:, :dim], answers[gallery][:, :dim], own
            )
        return found

    def _classes(self, rows: Rows, left: NDArray[np.bool_]) -> dict[str, float]:
        """Measure 1-NN in each collection, and sentences among photographs with some."""
        groups = np.array([photo.group for photo in self.photos])
        labels = np.array([label_name(photo) for photo in self.photos])
        found: dict[str, float] = {}
        for name, dim in (("nearest", None), ("nearest_64", 64)):
            by_group = [
                nearest_accuracy(rows[own], labels[own], dim=dim)
                for group in np.unique(groups)
                if len(np.unique(labels[own := left & (groups == group) & (labels != "")])) > 1
            ]
            found[name] = float(np.mean(by_group))
        told = np.flatnonzero(left & np.array([bool(photo.caption) for photo in self.photos]))
        said = self.words.encode([self.photos[i].caption for i in told])[:, :-1]
        scores = unit(said) @ unit(rows[told]).T
        found["captions_10"] = float(((scores > np.diagonal(scores)[:, None]).sum(1) < 10).mean())
        return found


def set_trial(data: Path, folder: Path, *, some: int, note: Callable[[str], None] = print) -> Trial:
    """Embed ``some`` of the training photographs with both teachers and the shipped tower, and altered copies of a fifth; kept in ``folder``."""
    photos = list_photos(data)
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    rows = np.sort(np.random.default_rng(8).permutation(train)[:some])
    few = [photos[i] for i in rows]
    folder.mkdir(parents=True, exist_ok=True)
    pixels = decode_all(data, few, folder / "pixels.npy", note=note)
    own = np.sort(np.random.default_rng(8).permutation(len(few))[: len(few) // 5])
    tower = folded_tower(read_state(SHIPPED / IMAGE))
    kept = folder / "means.npz"
    if not kept.exists():
        plain, altered = (
            look(tower, pixels, which, LOOKS, altered=copied)
            for which, copied in ((np.arange(len(few)), False), (own, True))
        )
        np.savez(kept, allow_pickle=False, plain=plain, altered=altered)
    means = np.load(kept)
    return Trial(
        photos=few,
        shipped=placed(tower.head, means["plain"], LOOKS)[:, :-1],
        teachers=both_teachers(data, few, folder, note=note),
        means=means["plain"],
        copies=means["altered"],
        own=own,
        shares=np.array([crop.weight for crop in LOOKS], np.float32),
        words=TextTower(SHIPPED / "text.safetensors"),
    )


CANDIDATES: dict[str, Choice] = {"shipped": Choice(teachers=(), power=0.0, turned=False, share=0.0)} | {
    f"{name}{', whitened' * bool(power)}, {'turned' if turned else 'fitted'}, {share:g}": Choice(
        teachers=teachers, power=power, turned=turned, share=share
    )
    for name, teachers in (("MobileNetV2", (0,)), ("Lite2", (1,)), ("both", (0, 1)))
    for power in (0.0, 0.5)
    for turned in (True, False)
    for share in (0.5, 1.0)
}

# Its 1-NN is 0.634 of left-out training photographs instead of the shipped vectors' 0.581, and its first 64 numbers have 0.601 instead of 0.584; sentences find
# 0.924 instead of 0.891. The linear head toward it comes as near (0.561) as the one toward the shipped vectors (0.563): the tower must move.
TARGET = Choice(teachers=(0, 1), power=0.5, turned=True, share=1.0)


def stronger(known: Looked, teachers: Sequence[NDArray[Any]]) -> Rows:
    """Return the chosen target of all photographs, ``(n, d - 1)`` unit rows, fitted on training photographs."""
    train = np.flatnonzero([photo.split == "train" for photo in known.photos])
    return target(TARGET, known.seen[:, :-1], teachers, train)

"""From the data folder to the arrays that training reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.inputs.corpus import embedded_texts
from tools.train_nano.inputs.data import CLUTTER, Photo, decode_all, drawn_weights, list_photos
from tools.train_nano.measure import unit
from tools.train_nano.targets.align import fit_alignment
from tools.train_nano.targets.asked import asked_axes
from tools.train_nano.targets.places import fit_places
from tools.train_nano.targets.targets import fit_target_map
from tools.train_nano.targets.teachers import mobilenet_features
from tools.train_nano.targets.views import view_features, view_sources
from tools.train_nano.tower.train import TrainingSet
from tools.train_nano.words.text_run import text_set

CHECKED = 150  # rows a collection in the checks during training: they cost training time


def label_name(photo: Photo) -> str:
    """Name a photograph's class across collections; empty for none, and for the clutter class, which is no class."""
    return f"{photo.group}/{photo.label}" if photo.label and photo.label != CLUTTER else ""


def prepare(
    data: Path, wordnet: Path, folder: Path, *, note: Callable[[str], None] = print
) -> tuple[list[Photo], TrainingSet]:
    """Decode, split, and embed photographs and views of them with the teacher; ``folder`` is reused."""
    photos = list_photos(data)
    pixels = decode_all(data, photos, folder / "pixels.npy", note=note)
    features = mobilenet_features(data, photos, folder / "mobilenet.npy", note=note)
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    views, view_rows, maps = view_features(
        data, pixels, view_sources(photos), folder, places=fit_places(features[train]), note=note
    )
    texts, sentences = embedded_texts(data, wordnet, photos, folder, note=note)
    alignment = fit_alignment(data, photos, features, texts, sentences)
    place = fit_target_map(alignment, photos, features).place
    targets = place(features)
    # As if the targets were the tower's vectors.
    said = text_set(
        texts, sentences, alignment.place_texts([text.text for text in texts], sentences),
        photos, alignment.place_photos(features[train]), unit(targets[train]), train,
    )  # fmt: skip
    asked = asked_axes(said.targets, said.weights)
    return photos, assemble(photos, pixels, targets, views, place(view_rows), maps, asked)


def assemble(
    photos: list[Photo], pixels: NDArray[np.uint8], targets: NDArray[np.float32],
    views: NDArray[np.uint8], view_targets: NDArray[np.float32], view_places: NDArray[np.float16], asked: NDArray[np.float32],
) -> TrainingSet:  # fmt: skip
    """Join photographs, views and their targets to a training set."""
    split = np.array([photo.split for photo in photos])
    group = np.array([photo.group for photo in photos])
    names = [label_name(photo) for photo in photos]
    known = sorted({name for name, part in zip(names, split, strict=True) if name and part != "unseen"})
    unseen = sorted({name for name, part in zip(names, split, strict=True) if name and part == "unseen"})
    code = {name: i for i, name in enumerate(known + unseen)}
    codes = np.array([code.get(name, -1) for name in names])
    train = np.flatnonzero(split == "train")
    weights = drawn_weights([photos[i] for i in train])
    check = {}
    for name in np.unique(group):
        rows = np.flatnonzero((group == name) & (split != "train") & (codes >= 0))
        if len(rows):
            check[str(name)] = rows[:: max(1, len(rows) // CHECKED)]
    return TrainingSet(
        pixels=pixels,
        targets=targets,
        views=views,
        view_targets=view_targets,
        view_places=view_places,
        asked=asked,
        label_codes=codes,
        train=train,
        weights=weights / weights.sum(),
        check=check,
    )

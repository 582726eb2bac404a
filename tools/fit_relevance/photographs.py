"""Choose the photographs that calibration is fitted on, and the background that ships, and embed them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano import NanoEncoder
from tools.fit_relevance.concepts import concept
from tools.train_nano.embedding import embed_images
from tools.train_nano.inputs.data import Photo, list_photos, load_rgb

SEED = 5
OF_LABEL = {
    "animals": 15, "caltech101": 5, "cats_dogs": 2, "clothing": 5, "flowers": 12, "groceries": 4, "imagenette": 15,
    "pandas": 10, "rooms": 14, "scenes": 18, "sports": 5, "street_vehicles": 15, "weather": 10,
}  # fmt: skip
"""Photographs of each label that are drawn for the background."""
OF_SET = {
    "bsds": 120, "captions": 250, "clip_images": 100, "coco": 20, "coco_objects": 60, "flickr": 280, "food": 100,
}  # fmt: skip
"""Photographs of each set without labels that are drawn for it."""
EVERY = 2
"""Every so many of them are in the background: twice as many tell hardly more, and cost each search more."""
NEVER_TRAINED = "clothing"
CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Photographs:
    """Photographs that nano was not trained on, and those of the background.

    Attributes:
        photos: the ones that are searched.
        vectors: theirs, ``(n, d)`` float32 unit rows.
        names: ``(n,)`` what each shows; empty where that is not known.
        background: ``(m, d)`` float32 unit rows.
        background_sets: ``(m,)`` the set that each of the background is of.
    """

    photos: list[Photo]
    vectors: NDArray[np.float32]
    names: NDArray[np.str_]
    background: NDArray[np.float32]
    background_sets: NDArray[np.str_]


def gather(data: Path, encoder: NanoEncoder, work: Path | None) -> Photographs:
    """Embed all; what was embedded already is taken from ``work``."""
    photos = list_photos(data)
    chosen = _background(photos)
    held = [i for i, photo in enumerate(photos) if photo.split != "train"]
    kept = None if work is None else _kept(work, encoder)
    if kept is not None and kept.exists():
        with np.load(kept) as arrays:
            vectors, background = arrays["held"], arrays["background"]
    else:
        vectors, background = (_embedded(data, [photos[i] for i in some], encoder) for some in (held, chosen))
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, held=vectors, background=background)
    free = ~np.isin(held, chosen)
    searched = [photos[i] for i, use in zip(held, free, strict=True) if use]
    return Photographs(
        photos=searched,
        vectors=np.ascontiguousarray(vectors[free], dtype=np.float32),
        names=np.array([concept(photo) for photo in searched]),
        background=np.asarray(background, dtype=np.float32),
        background_sets=np.array([photos[i].group for i in chosen]),
    )


def keep_vectors(
    work: Path,
    encoder: NanoEncoder,
    photos: list[Photo],
    pixels: NDArray[np.uint8],
    held: NDArray[np.float32],
) -> None:
    """Keep for `gather` what is known already of decoded photographs.

    Args:
        pixels: ``(n, s, s, 3)`` of all ``photos``, squashed as the encoder does.
        held: ``(m, d)`` vectors of those that nano was not trained on, in order.
    """
    kept = _kept(work, encoder)
    if not kept.exists():
        work.mkdir(parents=True, exist_ok=True)
        np.savez(kept, held=held, background=embed_images(encoder, pixels[_background(photos)]))


def _kept(work: Path, encoder: NanoEncoder) -> Path:
    return work / f"{encoder.space.fingerprint[:12]}.npz"


def _background(photos: list[Photo]) -> list[int]:
    """Choose photographs that nano was trained on, so that those it was not are all free for trials."""
    numbers = np.random.default_rng(SEED)
    groups: dict[tuple[str, str], list[int]] = {}
    for i, photo in enumerate(photos):
        if photo.split == "train" or photo.group == NEVER_TRAINED:
            groups.setdefault((photo.group, photo.label if photo.group in OF_LABEL else ""), []).append(i)
    chosen: list[int] = []
    for (group, _), some in sorted(groups.items()):
        count = OF_LABEL.get(group) or OF_SET.get(group, 0)
        chosen += numbers.permutation(some)[:count].tolist()
    return sorted(chosen)[::EVERY]


def _embedded(data: Path, photos: list[Photo], encoder: NanoEncoder) -> NDArray[np.float32]:
    chunks = [photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK)]
    rows = [embed_images(encoder, [load_rgb(data / photo.file) for photo in chunk]) for chunk in chunks]
    return np.concatenate(rows)

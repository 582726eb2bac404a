"""Encode labelled photographs that no encoder of this project was trained on, and crops of some, by several encoders."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.upgrade.encoders import encoder_of
from indexes.vectors import Vectors, unit_rows
from retrieval.encoders import Encoder
from retrieval.upgrades.trial.sample import VIEWS, view_of

QUERIES = 2_100
GALLERY = 3_900
CROPS = 1_000
_BATCH, _BLOCK = 32, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Photographs:
    """Files with labels, shuffled: the first `QUERIES` ask, the others are the gallery; crops are of gallery photographs.

    Attributes:
        files: ``(n,)`` relative to the data folder.
        labels: ``(n,)`` numbers; of one set's class each.
        cropped: ``(c,)`` places among the files that crops were made of.
    """

    files: list[str]
    labels: NDArray[np.int64]
    cropped: NDArray[np.int64]


def photographs(data: Path) -> Photographs:
    """List the photographs, in an order that is always the same."""
    from tools.train_nano.inputs.data import CLUTTER, list_photos

    found = [
        photo
        for photo in list_photos(data)
        if photo.label and photo.split != "train" and photo.label != CLUTTER and photo.group != "coco_objects"
    ]
    order = np.random.default_rng(34).permutation(len(found))[: QUERIES + GALLERY]
    names = {
        name: number for number, name in enumerate(sorted({(photo.group, photo.label) for photo in found}))
    }
    return Photographs(
        files=[found[place].file for place in order],
        labels=np.array([names[found[place].group, found[place].label] for place in order]),
        cropped=np.arange(QUERIES, QUERIES + CROPS),
    )


def rows_of(name: str, seen: Photographs, *, data: Path, work: Path) -> tuple[Vectors, Vectors]:
    """Return an encoder's unit rows of the photographs ``(n, d)`` and of the crops ``(c, d)``; kept in ``work``, block by block."""
    home = work / "rows" / name.replace("@", "-")
    home.mkdir(parents=True, exist_ok=True)
    encoders: list[Encoder] = []

    def encoded(images: list[bytes]) -> Vectors:
        if not encoders:
            encoders.append(encoder_of(name, data=data, work=work))
        pixels = [encoders[0].preprocess(Image.open(io.BytesIO(image)).convert("RGB")) for image in images]
        return encoders[0].encode_pixels(np.stack(pixels))

    def block(kind: str, places: NDArray[np.int64], image_of: Callable[[int], bytes]) -> Vectors:
        file = home / f"{kind}-{places[0]}-{len(places)}.npy"
        if not file.exists():
            images = [image_of(int(place)) for place in places]
            rows = [encoded(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
            partial = file.with_suffix(".partial.npy")
            np.save(partial, np.concatenate(rows).astype(np.float16))
            partial.replace(file)
        return unit_rows(np.load(file).astype(np.float32))

    def whole(place: int) -> bytes:
        return (data / seen.files[place]).read_bytes()

    def view(place: int) -> bytes:
        return view_of(whole(place), seed=(place, 1 + place % VIEWS))

    found = []
    for kind, places, image_of in (
        ("whole", np.arange(len(seen.files)), whole),
        ("view", seen.cropped, view),
    ):
        parts = [
            block(kind, places[start : start + _BLOCK], image_of) for start in range(0, len(places), _BLOCK)
        ]
        found.append(np.concatenate(parts))
    return found[0], found[1]

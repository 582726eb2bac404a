"""Encode labelled photographs that no encoder of this project was trained on, and crops of some, by several encoders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.upgrade.encoders import encoder_of
from indexes.vectors import Vectors, unit_rows
from retrieval.upgrades.trial.sample import view_of

QUERIES = 2_100
CROPS = 1_500
_BATCH = 32


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
    order = np.random.default_rng(34).permutation(len(found))
    names = {
        name: number for number, name in enumerate(sorted({(photo.group, photo.label) for photo in found}))
    }
    return Photographs(
        files=[found[place].file for place in order],
        labels=np.array([names[found[place].group, found[place].label] for place in order]),
        cropped=np.arange(QUERIES, QUERIES + CROPS),
    )


def rows_of(name: str, seen: Photographs, *, data: Path, work: Path) -> tuple[Vectors, Vectors]:
    """Return an encoder's unit rows of the photographs ``(n, d)`` and of the crops ``(c, d)``, kept in ``work``."""
    file = work / f"rows-{name.replace('@', '-')}.npz"
    if not file.exists():
        encoder = encoder_of(name, data=data, work=work)

        def encoded(images: list[bytes]) -> Vectors:
            import io

            pixels = [encoder.preprocess(Image.open(io.BytesIO(image)).convert("RGB")) for image in images]
            return encoder.encode_pixels(np.stack(pixels))

        whole = [(data / one).read_bytes() for one in seen.files]
        views = [
            view_of(whole[place], seed=(int(place), 1 + number % 3))
            for number, place in enumerate(seen.cropped)
        ]
        parts = [
            np.concatenate(
                [encoded(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
            )
            for images in (whole, views)
        ]
        np.savez(file, whole=parts[0].astype(np.float16), views=parts[1].astype(np.float16))
    with np.load(file) as kept:
        return unit_rows(kept["whole"].astype(np.float32)), unit_rows(kept["views"].astype(np.float32))

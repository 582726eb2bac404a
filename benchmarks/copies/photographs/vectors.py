"""Encode photographs once: vectors are kept in the work folder, for other parts and the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as Picture

from benchmarks.copies.photographs.chosen import opened
from retrieval.encoders import Encoder
from retrieval.encoders.families.nano import open_nano

_BATCH = 256


def encoded(encoder: Encoder, images: Iterator[Picture]) -> NDArray[np.float32]:
    """Return the vectors of pictures, ``(n, d)``."""
    rows: list[NDArray[np.float32]] = []
    some: list[NDArray[np.float32]] = []
    for image in images:
        some.append(encoder.preprocess(image))
        if len(some) == _BATCH:
            rows.append(encoder.encode_pixels(np.stack(some)))
            some = []
    if some:
        rows.append(encoder.encode_pixels(np.stack(some)))
    return np.concatenate(rows)


def encoded_names(data: Path, names: Sequence[str], work: Path) -> NDArray[np.float32]:
    """Return the vectors of photographs by `nano`, ``(n, d)``; a run that was stopped continues.

    Args:
        data: the folder of photographs.
        names: relative to it.
        work: keeps the vectors, under the fingerprint of the names and of the encoder.
    """
    encoder = open_nano(threads=1)
    mark = f"{encoder.space.name} {encoder.space.fingerprint} {len(names)} " + "\n".join(names)
    folder = work / f"vectors-{hashlib.blake2b(mark.encode(), digest_size=8).hexdigest()}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    step = 4 * _BATCH
    for start in range(0, len(names), step):
        path = folder / f"{start:08}.npy"
        if not path.exists():
            made = encoded(encoder, (opened(data, name) for name in names[start : start + step]))
            partial = path.with_suffix(".partial.npy")
            np.save(partial, made)
            partial.rename(path)
            print(f"encoded {start + len(made):,} of {len(names):,}", flush=True)
        rows.append(np.load(path))
    return np.concatenate(rows)  # (n, d)

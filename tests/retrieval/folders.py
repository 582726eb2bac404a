"""Folders of small distinct pictures for tests of whole collections."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from indexes.generation import read_manifest, write_manifest
from retrieval.collection.collection import Collection
from retrieval.testing import FakeEncoder


def picture(seed: int, *, size: int = 48) -> Image.Image:
    """Return a smooth colourful picture that no other seed gives."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def fill(folder: Path, names: list[str], *, first: int = 0) -> Path:
    """Write one picture a name; the same name and place always give the same picture."""
    for seed, name in enumerate(names, start=first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path, format="PNG")
    return folder


def ids_by_key(collection: Collection) -> dict[str, int]:
    """Return every row's id by its key."""
    return {key: collection.id_of(key) for key in collection}


def touch_later(path: Path, *, seconds: float = 5.0) -> None:
    """Set a file's time forward, as if it had been written again."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + int(seconds * 1e9)))


PROBES = 2
"""Made images that an encoder object is asked for once in a process, besides those of the folder."""


def without_probes(folder: Path) -> None:
    """Make a folder's collection one that an earlier version wrote: it has no vectors of probes."""
    directory = folder / ".retrieve"
    write_manifest(directory, replace(read_manifest(directory), probes={}))


class CountingEncoder(FakeEncoder):
    """A fake encoder that counts what it encodes."""

    encoded = 0

    def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
        """Encode, and count."""
        self.encoded += len(batch)
        return super().encode_pixels(batch)

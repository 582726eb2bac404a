"""The collections, pictures and words that the parts of `bench_serve.py` ask with; made once and kept in its work folder."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import retrieval
from benchmarks import synthetic
from indexes.generation import read_manifest, write_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENCODER = "nano"

_NOUNS = ("bus", "dog", "church", "boat", "flower", "car", "horse", "chair", "bridge", "cat", "train", "tree")
_TRAITS = ("red", "old", "small", "wooden", "wet", "blue", "white", "broken", "green", "tall")
_PLACES = ("in snow", "at night", "by the sea", "in a garden", "on a street", "under a tree")


def million(work: Path, *, rows: int) -> Path:
    """Return a collection of made vectors in the space of the built-in encoder, which answers words and images too."""
    home = work / f"rows_{rows}"
    if (home / ".retrieve" / "manifest.json").exists():
        return home
    space = retrieval.load_encoder(ENCODER).space
    recipe = synthetic.Recipe(rows=rows, dim=space.dim)
    path = work / f"rows_{rows}.npy"
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, space.dim))
    start = 0
    for block in synthetic.blocks(recipe):
        vectors[start : start + len(block)] = block
        start += len(block)
    vectors.flush()
    keys = [f"album{number % 997:03}/{number:07}.jpg" for number in range(rows)]
    retrieval.sync_vectors(home, path, keys, space=space, progress=False)
    path.unlink()
    manifest = read_manifest(home / ".retrieve")
    write_manifest(home / ".retrieve", replace(manifest, encoder=space.name))
    return home


def asked_vectors(rows: int, count: int) -> NDArray[np.float32]:
    """Return vectors ``(count, d)`` as the rows are, none of which is one."""
    dim = retrieval.load_encoder(ENCODER).space.dim
    return synthetic.queries(synthetic.Recipe(rows=rows, dim=dim), count)


def words(count: int) -> list[str]:
    """Return different short phrases, as people type them."""
    phrases = [f"a {trait} {noun} {place}" for place in _PLACES for noun in _NOUNS for trait in _TRAITS]
    order = np.random.default_rng(3).permutation(len(phrases))
    return [phrases[order[number % len(order)]] for number in range(count)]


def pictures(count: int, *, size: tuple[int, int] = (1200, 800)) -> list[bytes]:
    """Return different JPEG files with coarse shapes and fine grain, about as many bytes as a photograph of this size has."""
    rng = np.random.default_rng(5)
    grain = rng.normal(0, 6, (size[1], size[0], 1))
    return [_picture(rng, size, grain) for _ in range(count)]


def _picture(rng: np.random.Generator, size: tuple[int, int], grain: Any) -> bytes:
    coarse = Image.fromarray(rng.integers(0, 256, (12, 18, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    shown = np.clip(np.asarray(coarse, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(shown).save(file, "JPEG", quality=88)
    return file.getvalue()

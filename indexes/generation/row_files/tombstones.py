"""Read and write the bitmap of deleted rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexes.errors import StoreCorrupt
from indexes.files import limit_reached, parsed, write_array
from indexes.generation import check_file
from indexes.generation.description import Manifest, generation_path
from indexes.vectors import Bitmap

TOMBSTONES = "tombstones.npy"


def write_live(path: Path, dead: Bitmap) -> None:
    """Write which rows have a tombstone, eight to a byte."""
    with path.open("wb") as file:
        write_array(file, np.packbits(dead, bitorder="little"))


def published_live(directory: Path, manifest: Manifest) -> Bitmap | None:
    """Return which rows of a published manifest have no tombstone ``(count,)``, None if that is all of them.

    Raises:
        StoreCorrupt: the generation's file is missing or is not what was published.
        SystemLimit: no more open files or memory.
    """
    check_file(directory, manifest, TOMBSTONES)
    path = generation_path(directory, manifest.generation) / TOMBSTONES
    recent = manifest.recent
    if recent is None:
        return read_live(path, manifest.count)
    live = read_live(path, recent.count)
    if live is None and not recent.deleted:
        return None
    whole = np.ones(manifest.count, np.bool_)  # (count,)
    if live is not None:
        whole[: recent.count] = live
    whole[list(recent.deleted)] = False
    return whole


def read_live(path: Path, count: int) -> Bitmap | None:
    """Return which rows have no tombstone, None if that is all of them.

    Raises:
        StoreCorrupt: missing, not an array of bytes, or not of ``count`` flags.
        SystemLimit: no more open files or memory.
    """
    try:
        packed = parsed(lambda: np.load(path, allow_pickle=False))
        dead = np.unpackbits(packed, count=count, bitorder="little").view(np.bool_)
    except (
        Exception
    ) as error:  # numpy reads the header by Python's tokenizer and parser, which raise their own
        raise limit_reached(error, path) or StoreCorrupt(
            f"{path}: not readable ({error}); run `build_index` on the folder: it publishes a new one"
        ) from error
    if len(packed) != -(-count // 8):
        raise StoreCorrupt(
            f"{path}: holds {len(packed)} bytes of flags, expected {-(-count // 8)}; run `build_index`"
        )
    return ~dead if dead.any() else None

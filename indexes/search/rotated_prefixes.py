"""Memory-map the rotated prefixes that a funnel's middle stages read.

Turning a candidate costs as many products for each component as its full width has components, so a middle stage that
turned candidates as they come would always cost more than the full width does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexes.errors import StoreCorrupt
from indexes.vectors import Halves, Vectors, floats

PREFIXES = "prefixes.f16"

BYTES = 1 << 28
"""Of turned prefixes, at most: more rows have no middle stages."""

_BLOCK = 16_384


def fits(count: int, width: int) -> bool:
    """Say whether middle stages up to ``width`` are worth their file."""
    return 2 * count * width <= BYTES


def turned(rows: Halves, width: int, rotation: Vectors) -> Halves:
    """Return the first ``width`` components of ``rows @ rotation``, not normalised: ``(n, width)`` float16.

    Args:
        rows: ``(n, d)`` float16.
        width: less than ``d``.
        rotation: ``(d, d)`` orthogonal.
    """
    made = np.empty((len(rows), width), dtype=np.float16)
    done = 0
    for block in _blocks(rows, width, rotation):
        made[done : done + len(block)] = block
        done += len(block)
    return made


def write(path: Path, rows: Halves, width: int, rotation: Vectors) -> None:
    """Write what `turned` returns, durably; not through a map, in which a full disk would end the process."""
    with path.open("wb") as file:
        for block in _blocks(rows, width, rotation):
            file.write(block.data.cast("B"))
        file.flush()
        os.fsync(file.fileno())


def _blocks(rows: Halves, width: int, rotation: Vectors) -> Iterator[Halves]:
    cut = np.ascontiguousarray(rotation[:, :width])  # (d, width)
    for start in range(0, len(rows), _BLOCK):
        part = np.ascontiguousarray(rows[start : start + _BLOCK])
        wide = np.empty(part.shape, dtype=np.float32)
        floats(part, wide)
        yield (wide @ cut).astype(np.float16)  # (m, width)


def open_mapped(path: Path, *, count: int, width: int) -> Halves:
    """Map the file: ``(count, width)``, read-only.

    Raises:
        StoreCorrupt: it is missing or of another length.
    """
    expected = 2 * count * width
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        found = -1
    if found != expected:
        raise StoreCorrupt(
            f"{path}: {'no such file' if found < 0 else f'{found:,} bytes'}, expected {expected:,} bytes; "
            "run `build_index` on the folder with `dim=…`: it builds the funnel again"
        )
    return np.asarray(np.memmap(path, np.float16, "r", shape=(count, width)))

"""Search every row by a prefix width that the caller gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from indexes import forks
from indexes.engine import flat
from indexes.generation import Manifest, check_file, generation_path
from indexes.layout import TRANSFORMS
from indexes.search.searchers import funnel, require_prefix
from indexes.vectors import Bitmap, Halves, Neighbors, Space, Transform, Vectors, transforms

HEADS_BYTES = 1 << 28
"""Of prefixes laid next to each other and kept, at most.

Making more of them for each search costs several times what comparing every row at full width does, so that is done.
"""


def scanned(rows: int, dim: int) -> bool:
    """Say whether so many rows are ranked by a prefix that the caller gives, rather than at full width."""
    return 2 * dim * rows <= HEADS_BYTES


class Narrow:
    """Rows behind their prefixes; safe to share by threads.

    Args:
        rows: ``(n, d)`` float16 unit rows.
        space: theirs.
        rotation: gives the ``(d, d)`` matrix that turns the rows before they are cut, None for none.
    """

    def __init__(self, rows: Halves, space: Space, *, rotation: Callable[[], Vectors | None]) -> None:
        self._rows, self._space, self._rotation = rows, space, rotation
        self._making = forks.Lock()
        self._heads: dict[int, Halves] = {}

    def search(self, queries: Vectors, *, dim: int, shortlist: int, k: int, keep: Bitmap | None) -> Neighbors:
        """Find each query's best ``k`` of a shortlist; see `funnel.search`. Rows beyond `HEADS_BYTES` are searched exactly.

        Raises:
            OptionError: ``dim`` is no prefix (`require_prefix`).
        """
        matrix = self._rotation()
        require_prefix(dim, self._space, turned=matrix is not None)
        if not scanned(len(self._rows), dim):
            return flat.exact(self._rows, queries, k=k, keep=keep)
        if dim not in self._heads:
            with self._making:
                if dim not in self._heads:
                    self._heads[dim] = funnel.compact(self._rows, dim, rotation=matrix)
        heads = self._heads[dim]
        return funnel.search(self._rows, heads, queries, shortlist=shortlist, k=k, keep=keep, rotation=matrix)


def rotation_of(directory: Path, manifest: Manifest) -> Transform | None:
    """Return the rotation that a generation's rows are turned by before they are cut; None where there is none."""
    if manifest.space.nesting or TRANSFORMS not in manifest.files:
        return None
    path = generation_path(directory, manifest.generation) / TRANSFORMS
    check_file(directory, manifest, TRANSFORMS)
    return transforms.recorded(transforms.load(path), manifest.space)


def matrix_of(directory: Path, manifest: Manifest) -> Callable[[], Vectors | None]:
    """Return what reads the rotation's ``(d, d)`` matrix with its first call; it holds no reference to the generation."""

    @cache
    def matrix() -> Vectors | None:
        turn = rotation_of(directory, manifest)
        return None if turn is None else turn.matrix

    return matrix

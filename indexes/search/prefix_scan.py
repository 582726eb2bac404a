"""Search every row by a prefix width that the caller gives."""

from __future__ import annotations

from collections.abc import Callable

from indexes import forks
from indexes.search import funnel
from indexes.search.widths import require_prefix
from indexes.vectors import Bitmap, Halves, Neighbors, Space, Vectors

_HEADS_BYTES = 1 << 28  # of prefixes laid next to each other and kept; more are made for each search


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
        """Find each query's best ``k`` of a shortlist; see `funnel.search`.

        Raises:
            OptionError: ``dim`` is no prefix (`require_prefix`).
        """
        matrix = self._rotation()
        require_prefix(dim, self._space, turned=matrix is not None)
        heads = self._compact(dim, matrix)
        return funnel.search(
            self._rows, queries, dim=dim, shortlist=shortlist, k=k, keep=keep, heads=heads, rotation=matrix
        )

    def _compact(self, dim: int, rotation: Vectors | None) -> Halves | None:
        """Return the prefixes of all rows, made once where they fit; None where they do not."""
        if 2 * dim * len(self._rows) > _HEADS_BYTES:
            return None
        if dim not in self._heads:
            with self._making:
                if dim not in self._heads:
                    self._heads[dim] = funnel.compact(self._rows, dim, rotation=rotation)
        return self._heads[dim]

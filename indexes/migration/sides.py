"""Search either side of a gallery during an upgrade: the old rows that no new one replaces, and the new rows."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from indexes.engine import flat, fp16_view
from indexes.errors import StoreCorrupt
from indexes.generation import read_pinned
from indexes.search import Generation, Narrow, unmeasured
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Space, Vectors

FEW = 5_000
"""Rows up to which comparing them all is about as fast as an index over all of the gallery."""


class OldSide:
    """The rows of an old generation that no new one replaces; safe to share by threads.

    Args:
        generation: the old rows and their index.
        replaced: ``(count,)`` flags of rows that a new one answers for.
    """

    def __init__(self, generation: Generation, replaced: Bitmap) -> None:
        self._generation = generation
        self._left: Ids | None = None  # where they are few
        self._limited: Generation | None = None
        if not replaced.any():
            return
        left = ~replaced if generation.live is None else generation.live & ~replaced
        if np.count_nonzero(left) <= FEW:
            self._left = np.flatnonzero(left)
        else:
            self._limited = generation.limited(left)

    def search(
        self, queries: Vectors, *, k: int, keep: Bitmap | None, dim: int | None, **options: Any
    ) -> Neighbors:
        """Find each query's ``k`` best rows; arguments as of `Generation.search`."""
        if self._left is None:
            return (self._limited or self._generation).search(queries, k=k, keep=keep, dim=dim, **options)
        rows, view = self._copied
        found = flat.exact(rows, queries, k=k, keep=None if keep is None else keep[self._left], view=view)
        return _named(found, self._left)

    @cached_property
    def _copied(self) -> tuple[Halves, Any]:
        """The few rows next to each other, and as FAISS sees them; made twice if two threads come first."""
        rows = np.ascontiguousarray(self._generation.rows[self._left])
        return rows, fp16_view(rows)

    def close(self) -> None:
        """Release the files."""
        if self._limited is not None:
            self._limited.close()


class NewSide:
    """The new rows, by an index of their own where they are many; safe to share by threads.

    Args:
        rows: ``(m, d)`` float16.
        ids: ``(m,)`` the id that each answers for, or -1.
        space: theirs.
        staged: a generation over these rows and perhaps more; None to compare every row.
    """

    def __init__(self, rows: Halves, ids: Ids, *, space: Space, staged: Generation | None = None) -> None:
        self._rows, self._ids, self._space, self._staged = rows, ids, space, staged
        self._narrow = Narrow(rows, space, rotation=lambda: None)
        self._answers = ids >= 0  # (m,)
        self._every: Any = fp16_view(rows) if len(rows) and self._answers.all() else None
        self._limited: Generation | None = None
        if staged is not None:
            self._answers = np.zeros(staged.count, dtype=np.bool_)
            self._answers[: len(ids)] = ids >= 0
            self._ids = np.full(staged.count, -1, dtype=np.int64)
            self._ids[: len(ids)] = ids
            live = staged.count if staged.live is None else int(np.count_nonzero(staged.live))
            if np.count_nonzero(self._answers) < live:
                self._limited = staged.limited(self._answers)

    @classmethod
    def open(cls, directory: str | os.PathLike[str], rows: Halves, ids: Ids, *, space: Space) -> NewSide:
        """Open rows with the index that lies beside them, if there is one that holds all of them.

        Args:
            directory: of the staging store.
            rows, ids, space: as for the class.
        """
        return cls(rows, ids, space=space, staged=_staged(Path(directory), count=len(rows), space=space))

    def search(
        self, queries: Vectors, *, k: int, keep: Bitmap | None, dim: int | None, **options: Any
    ) -> Neighbors:
        """Find each query's ``k`` best rows; arguments as of `Generation.search`, ids of the collection."""
        if dim == self._space.dim:
            dim = None
        flags = None
        if keep is not None:
            flags = self._answers & keep[self._ids]  # -1 reads the last flag, and does not answer
        if self._staged is not None:
            try:
                searched = self._limited or self._staged
                return _named(searched.search(queries, k=k, keep=flags, dim=dim, **options), self._ids)
            except StoreCorrupt:  # the index is a shortcut, and the next backfill makes it anew
                flags = self._answers if flags is None else flags
                flags = flags[: len(self._rows)]
        elif flags is None and self._every is None:
            flags = self._answers
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if dim is None:
            found = flat.exact(self._rows, queries, k=k, keep=flags, view=self._every)
        else:
            found = self._narrow.search(queries, dim=dim, shortlist=unmeasured(k), k=k, keep=flags)
        return _named(found, self._ids)

    def close(self) -> None:
        """Release the files."""
        for opened in (self._limited, self._staged):
            if opened is not None:
                opened.close()


def _staged(directory: Path, *, count: int, space: Space) -> Generation | None:
    """Open the generation of a staging store, None where there is none that holds the first ``count`` rows."""
    try:
        manifest, pin = read_pinned(directory)
        with pin:
            if manifest.count < count or not manifest.space.same_as(space):
                return None
            return Generation.open(directory, manifest)
    except (FileNotFoundError, StoreCorrupt):  # then every row is compared, and the next backfill makes one
        return None


def _named(found: Neighbors, ids: Ids) -> Neighbors:
    """Return neighbours by their ids in the collection, ``ids`` being those of the rows that were searched."""
    if not len(ids):
        return found
    return Neighbors(ids=np.where(found.ids < 0, -1, ids[found.ids]), scores=found.scores)

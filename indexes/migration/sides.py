"""Search either side of a gallery during an upgrade: the old rows that no new one replaces, and the new rows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from indexes.engine import flat
from indexes.errors import StoreCorrupt
from indexes.generation import read_pinned
from indexes.migration.few_rows import FEW, FewRows
from indexes.search import Generation, Narrow, unmeasured
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Space, Vectors


class OldSide:
    """The rows of an old generation that no new one replaces; safe to share by threads.

    Args:
        generation: the old rows and their index.
        replaced: ``(count,)`` flags of rows that a new one answers for.
    """

    def __init__(self, generation: Generation, replaced: Bitmap) -> None:
        self._generation = generation
        self._few: FewRows | None = None
        self._limited: Generation | None = None
        if not replaced.any():
            return
        left = ~replaced if generation.live is None else generation.live & ~replaced
        if np.count_nonzero(left) <= FEW:
            ids = np.flatnonzero(left)
            self._few = FewRows(generation.rows, ids, ids)
        else:
            self._limited = generation.limited(left)

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        keep: Bitmap | None,
        dim: int | None,
        exact: bool = False,
        shortlist: int | None = None,
        **options: Any,
    ) -> Neighbors:
        """Find each query's ``k`` best rows; arguments as of `Generation.search`."""
        if self._few is not None:
            return self._few.search(queries, k=k, keep=keep, exact=exact, shortlist=shortlist)
        searched = self._limited or self._generation
        return searched.search(queries, k=k, keep=keep, dim=dim, exact=exact, shortlist=shortlist, **options)

    def candidates(self, queries: Vectors, *, k: int, depth: int) -> Neighbors:
        """Return rows to compare with each query: among them all but few of its best ``depth``, and most of its best ``k``.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k, depth: as of `Generation.search`.
        Returns:
            ids ``(q, s)``, best first, padded with -1 at the end, and their cosines: exact, or by codes as `Generation.candidates` has them.
        """
        if self._few is not None:
            return self._few.candidates(queries, k=depth)
        return _candidates(self._limited or self._generation, queries, k=k, depth=depth)

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
        self._few: FewRows | None = None
        self._limited: Generation | None = None
        if staged is None:
            if np.count_nonzero(self._answers) <= FEW:
                places = np.flatnonzero(self._answers)
                self._few = FewRows(rows, places, ids[places])
        else:
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
        self,
        queries: Vectors,
        *,
        k: int,
        keep: Bitmap | None,
        dim: int | None,
        exact: bool = False,
        shortlist: int | None = None,
        **options: Any,
    ) -> Neighbors:
        """Find each query's ``k`` best rows; arguments as of `Generation.search`, ids of the collection."""
        if self._few is not None:
            return self._few.search(queries, k=k, keep=keep, exact=exact, shortlist=shortlist)
        if dim == self._space.dim:
            dim = None
        flags = None
        if keep is not None:
            flags = self._answers & keep[self._ids]  # -1 reads the last flag, and does not answer
        if self._staged is not None:
            try:
                searched = self._limited or self._staged
                options |= {"exact": exact, "shortlist": shortlist}
                return _named(searched.search(queries, k=k, keep=flags, dim=dim, **options), self._ids)
            except StoreCorrupt:  # the index is a shortcut, and the next backfill makes it anew
                flags = self._answers if flags is None else flags
                flags = flags[: len(self._rows)]
        elif flags is None and not self._answers.all():
            flags = self._answers
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if dim is None:
            found = flat.exact(self._rows, queries, k=k, keep=flags)
        else:
            found = self._narrow.search(queries, dim=dim, shortlist=unmeasured(k), k=k, keep=flags)
        return _named(found, self._ids)

    def candidates(self, queries: Vectors, *, k: int, depth: int) -> Neighbors:
        """Return rows to compare with each query as `OldSide.candidates` does, by their places among the new rows."""
        if self._few is not None:
            return self._few.candidates(queries, k=k)
        if self._staged is not None:
            with suppress(StoreCorrupt):  # the index is a shortcut, and the next backfill makes it anew
                return _candidates(self._limited or self._staged, queries, k=k, depth=depth)
        keep = self._answers[: len(self._rows)]
        return flat.exact(self._rows, queries, k=k, keep=None if keep.all() else keep)

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


def _candidates(generation: Generation, queries: Vectors, *, k: int, depth: int) -> Neighbors:
    """Return rows of a generation to compare with each query, ``(q, s)``, padded with -1 at the end."""
    found = generation.candidates(queries, k=k, depth=depth)
    return generation.search(queries, k=k, depth=depth) if found is None else found


def _named(found: Neighbors, ids: Ids) -> Neighbors:
    """Return neighbours by their ids in the collection, ``ids`` being those of the rows that were searched."""
    if not len(ids):
        return found
    return Neighbors(ids=np.where(found.ids < 0, -1, ids[found.ids]), scores=found.scores)

"""Search several shards of one training through one index in memory: a query's tables are computed once, not once a shard.

FAISS computes a table for each list that a query probes. Eight shards compute eight, which costs more than all else. Where several shards
lie in one process, their lists are joined once many queries have come: 24 to 40 bytes a row and about a second for ten million.
Their rows are mapped behind each other, so that FAISS reranks candidates as it does for one collection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.engine import Refined, block_lists, faiss, flat, ivf
from indexes.generation import INDEX
from indexes.search.shard_search import joined
from indexes.store import map_together
from indexes.vectors import Neighbors, merged, rescored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.engine import Probes
    from indexes.search.generation import Generation
    from indexes.vectors import Halves, Ids, Vectors

JOINED_BYTES: Final = 512 << 20
"""Bytes of the index files that are joined in memory, at most."""

_SPARE: Final = 6
"""Rows that are scored in double precision besides those wanted: stored ones are of length 1 to 1e-4 only."""


class UnitedShards:
    """The lists of several shards joined, and their rows where they lie; safe to share by threads.

    A row's place is its number in the array of all rows. `of` joins shards.

    Args:
        index: of all rows that lie in lists; its ids are places.
        rows: ``(n, d)`` float16, with places between two shards that stand for no row.
        starts: places of the first row of each shard.
        firsts: their ids.
        generations: of the shards, open as long as this is used.
    """

    def __init__(
        self,
        index: Any,
        rows: Halves,
        starts: Sequence[int],
        firsts: Sequence[int],
        generations: Sequence[Generation],
    ) -> None:
        self._rows, self._stage = rows, Refined(index, rows)
        self._starts = np.array(starts, dtype=np.int64)  # (s,)
        self._added = np.asarray(firsts, dtype=np.int64) - self._starts
        self._order = np.argsort(firsts)  # ids to shards
        self._firsts = np.asarray(firsts, dtype=np.int64)[self._order]
        self._selector: Any = None
        if any(one.live is not None for one in generations):
            flags = np.zeros(len(rows), dtype=np.bool_)
            for one, start in zip(generations, starts, strict=True):
                flags[start : start + one.count] = True if one.live is None else one.live
            self._selector = ivf.selector(flags)
        pairs = zip(generations, firsts, strict=True)
        self._apart = [(one, first) for one, first in pairs if not one.is_all_in_lists and one.count]

    @classmethod
    def of(cls, generations: Sequence[Generation], firsts: Sequence[int]) -> UnitedShards | None:
        """Join shards; None where their lists cannot be joined, are too large, or this system cannot map their rows together.

        Args:
            generations: of the shards.
            firsts: the id of the first row of each.
        """
        listed = [one for one in generations if one.lists_index is not None]
        files = [one.manifest.files.get(INDEX) for one in listed]
        if not listed or None in files or not all(one.can_be_joined for one in generations):
            return None
        if sum(file.bytes for file in files if file is not None) > JOINED_BYTES:
            return None
        dim = generations[0].manifest.space.dim
        paths, counts = [one.rows_file for one in generations], [one.count for one in generations]
        mapped = map_together(paths, counts, dim=dim)
        if mapped is None:
            return None
        rows, starts = mapped
        index: Any = None
        for one, start in zip(generations, starts, strict=True):
            if one.lists_index is not None:
                part = one.copied_index()
                _count_from(part, start)
                index = part if index is None else _joined(index, part)
        index.ntotal = ivf.innermost(index).ntotal
        return cls(index, rows, starts, firsts, generations)

    def search(self, queries: Vectors, *, k: int, nprobe: int, shortlist: int) -> Neighbors:
        """Find each query's best rows; takes and returns what `indexes.search.search_shards` does, for ``q > 0``."""
        more = k + _SPARE
        found = self._stage.search(
            queries, k=more, nprobe=nprobe, shortlist=max(shortlist, k), selector=self._selector
        )
        return self._whole(found, queries, k=k)

    def candidates(self, queries: Vectors, *, count: int, nprobe: int) -> Ids:
        """Return the rows that `search` reranks with a shortlist of ``count``, best first by their codes: ids ``(q, count)``, padded with -1."""
        return self._ids(self._stage.candidates(queries, count=count, nprobe=nprobe, selector=self._selector))

    def probed(self, chosen: Probes, *, k: int) -> Neighbors:
        """Find each query's best ``k`` by their codes, in lists that an index of the same training chose."""
        found = self._stage.probed(chosen, k=k, selector=self._selector)
        return Neighbors(ids=self._ids(found.ids), scores=found.scores)

    def scored(self, queries: Vectors, ids: Ids, *, k: int) -> Neighbors:
        """Order candidates ``(q, m)``, and all rows that no list holds, by exact cosine; takes what `Generation.scored` does."""
        found = flat.scored(self._rows, queries, self._places(ids), k=k + _SPARE)
        return self._whole(found, queries, k=k)

    def _whole(self, found: Neighbors, queries: Vectors, *, k: int) -> Neighbors:
        """Name rows by their ids, with exact cosines, and add those that no list holds."""
        ranked = rescored(found, queries, self._rows)
        listed = Neighbors(ids=self._ids(ranked.ids[:, :k]), scores=ranked.scores[:, :k])
        if not self._apart:
            return listed
        none = np.empty((len(queries), 0), dtype=np.int64)
        others = [
            rescored(one.scored(queries, none, k=k, unlisted=True), queries, one.rows)
            for one, _ in self._apart
        ]
        return merged(listed, joined(others, k=k, firsts=[first for _, first in self._apart]), k=k)

    def _ids(self, places: Ids) -> Ids:
        """Return the ids of places; padding stays."""
        shard = np.searchsorted(self._starts[1:], places, side="right")
        ids: Ids = np.where(places < 0, -1, places + self._added[shard])
        return ids

    def _places(self, ids: Ids) -> Ids:
        """Return the places of ids; padding stays."""
        shard = self._order[np.maximum(np.searchsorted(self._firsts, ids, side="right") - 1, 0)]
        places: Ids = np.where(ids < 0, -1, ids - self._added[shard])
        return places


def _count_from(index: Any, first: int) -> None:
    """Count the ids of an index from another number on."""
    lists = ivf.innermost(index).invlists
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size and first:
            faiss().rev_swig_ptr(lists.get_ids(number), size)[:] += first


def _joined(index: Any, part: Any) -> Any:
    """Move the rows of an index of the same training behind those of another."""
    block_lists.merge(ivf.innermost(index), ivf.innermost(part))
    return index

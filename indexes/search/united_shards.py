"""Search several shards of one training through one index in memory: a query's tables are computed once, not once a shard.

FAISS computes a table for each list that a query probes. Eight shards compute eight, which costs more than all else. Where all shards
lie in this process, their lists are joined once many queries have come: 24 to 40 bytes a row and about a second for ten million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.engine import Refined, block_lists, faiss, ivf
from indexes.generation import INDEX
from indexes.vectors import Neighbors, dots, floats, padding, rescored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.search.generation import Generation
    from indexes.vectors import Halves, Ids, Vectors

__all__ = ["UnitedShards"]

MOST_BYTES: Final = 512 << 20
"""Bytes of the index files that are joined in memory, at most."""


_SPARE: Final = 6
"""Rows that are scored in double precision besides those wanted: stored ones are of length 1 to 1e-4 only."""


class UnitedShards:
    """The lists of several shards joined, and their rows where they lie; safe to share by threads.

    Args:
        generations: of the shards, open as long as this is used; `can_be` says whether they can be joined.
        firsts: what is added to the ids of each.
    """

    def __init__(self, generations: Sequence[Generation], firsts: Sequence[int]) -> None:
        self._rows: list[Halves] = [one.rows for one in generations]
        self._starts = np.cumsum([0, *(one.count for one in generations)])  # (s + 1,)
        self._added = np.asarray(firsts, dtype=np.int64) - self._starts[:-1]
        index: Any = None
        for one, start in zip(generations, self._starts.tolist(), strict=False):
            part = one.copied_index()
            index = part if index is None else _joined(index, part, first=start)
        index.ntotal = ivf.innermost(index).ntotal
        self._stage = Refined(index, self._rows[0])  # asked for codes alone
        self._selector: Any = None
        if any(one.live is not None for one in generations):
            flags = [np.ones(one.count, np.bool_) if one.live is None else one.live for one in generations]
            self._selector = ivf.selector(np.concatenate(flags))

    @staticmethod
    def can_be(generations: Sequence[Generation]) -> bool:
        """Say whether shards can be joined: all their rows lie in lists that can be filtered, and these are not too large."""
        files = [one.manifest.files.get(INDEX) for one in generations]
        if not all(one.is_all_in_lists for one in generations) or None in files:
            return False
        return sum(file.bytes for file in files if file is not None) <= MOST_BYTES

    def search(self, queries: Vectors, *, k: int, nprobe: int, shortlist: int) -> Neighbors:
        """Find each query's best rows; takes and returns what `indexes.search.search_shards` does, for ``q > 0``."""
        size = max(shortlist, k)
        candidates = self._stage.codes(queries, k=size, nprobe=nprobe, selector=self._selector).ids
        more = k + _SPARE
        found = padding(len(queries), more)
        halves = np.zeros((len(queries), more, queries.shape[1]), dtype=np.float16)  # (q, more, d)
        for number, query in enumerate(queries):
            ids = candidates[number]
            ids = np.sort(ids[ids >= 0])  # (m,)
            near = self._gathered(ids)
            wide = np.empty(near.shape, dtype=np.float32)  # (m, d)
            floats(near, wide)
            order = (-dots(wide, query)).argsort(kind="stable")[:more]  # ties by smaller id
            found.ids[number, : len(order)] = ids[order]
            halves[number, : len(order)] = near[order]
        ranked = rescored(_places(found.ids), queries, halves.reshape(-1, queries.shape[1]))
        return self._named(found.ids, Neighbors(ids=ranked.ids[:, :k], scores=ranked.scores[:, :k]))

    def _gathered(self, ids: Ids) -> Halves:
        """Return the rows of some ids, ascending, counted through all shards."""
        ends = np.searchsorted(ids, self._starts).tolist()
        parts = [
            rows.take(ids[first:last] - start, axis=0)
            for rows, start, first, last in zip(
                self._rows, self._starts.tolist(), ends[:-1], ends[1:], strict=False
            )
            if last > first
        ]
        return np.concatenate(parts) if parts else self._rows[0][:0]

    def _named(self, ids: Ids, ranked: Neighbors) -> Neighbors:
        """Return what was ranked by places in ``ids`` ``(q, k)`` with ids of the whole."""
        chosen = np.where(ranked.ids < 0, -1, ids.ravel()[ranked.ids])
        shard = np.searchsorted(self._starts[1:-1], chosen, side="right")
        return Neighbors(ids=np.where(chosen < 0, -1, chosen + self._added[shard]), scores=ranked.scores)


def _joined(index: Any, part: Any, *, first: int) -> Any:
    """Move the rows of an index of the same training behind those of another, their ids counted from ``first`` on."""
    inner, other = ivf.innermost(index), ivf.innermost(part)
    lists = other.invlists
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size:
            faiss().rev_swig_ptr(lists.get_ids(number), size)[:] += first
    block_lists.merge(inner, other)
    return index


def _places(ids: Ids) -> Neighbors:
    """Return the place of each id in ``ids`` ``(q, k)`` as one to be scored; padding stays."""
    places = np.arange(ids.size).reshape(ids.shape)
    return Neighbors(ids=np.where(ids < 0, -1, places), scores=np.zeros(ids.shape, dtype=np.float32))

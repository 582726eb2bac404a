"""Search float16 rows exactly: the oracle, and the whole index of a small collection.

Long because the steps of one scan (tiles, bounds, candidates, exact scores) share their buffers and are read together.
"""

from __future__ import annotations

from itertools import count
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.engine import can_wait, faiss, faiss_threads, fp16_view, in_threads, threads
from indexes.engine.scan.products import ROUNDING, Brief, Floats, Product
from indexes.errors import OptionError, ShapeError
from indexes.vectors import (
    Bitmap,
    Halves,
    Ids,
    Neighbors,
    StackedRows,
    Vectors,
    dots,
    floats,
    merged,
    padding,
)

Pairs: TypeAlias = tuple[Ids, Ids]
"""Positions of queries and of rows, ``(m,)`` each: candidates."""

_SCANNED = 4  # up to so many queries, scanning the halves costs less than turning them into floats
_SCORES = 1 << 18  # scores looked at together: they stay in the cache
_TILE = 1024  # rows at a time, at least
_TILES = 8  # as many times that at most
_FLOOR_TILES = 4  # tiles from whose groups a first bound is taken
_GROUP = 32  # rows whose best score is looked at first
_BRIEF = 64  # queries up to which cutting rows short saves more than the candidates that it adds cost
_ROWS_PER_PLACE = 200  # rows for each neighbour of each query from which it does
_QUERIES = 1024  # queries at a time
_TOGETHER = 256  # rows that one query is compared with before the next ones are turned into floats
_FEW = 256  # candidates of one query up to which Python orders them sooner
_PAIRS = 1024  # pairs scored together
_GATHERED = 65_536  # up to so many kept rows are copied together, then searched as if they were all
_PARALLEL_BYTES = 1 << 23  # rows from which one query is worth two threads


def exact(
    rows: Halves,
    queries: Vectors,
    *,
    k: int,
    keep: Bitmap | None = None,
    first_id: int = 0,
    view: Any = None,
) -> Neighbors:
    """Find each query's ``k`` best rows among all of them.

    The way there depends on how many queries there are, the answer does not, to the last bit: the paths only find
    candidates, generously, and one function scores and orders them.

    Args:
        rows: ``(n, d)`` float16, an array or a memory map, or several stacked.
        queries: ``(q, d)`` float32 unit rows.
        k: neighbours wanted, at least 1.
        keep: ``(n,)`` flags; only rows whose flag is set are considered.
        first_id: the id of row 0; the others follow.
        view: what `fp16_view` made of the rows; a query alone is spared making another.
    Returns:
        ids and cosines, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
    Raises:
        ShapeError: the widths differ, or ``keep`` has not one flag a row.
        OptionError: ``k`` is less than 1.
    """
    if isinstance(rows, StackedRows):
        return _stacked(rows, queries, k=k, keep=keep, first_id=first_id)
    n, dim = rows.shape
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ShapeError(f"queries: expected (q, {dim}), got {queries.shape}")
    if keep is not None and keep.shape != (n,):
        raise ShapeError(f"keep: expected ({n},) flags, got {keep.shape}")
    if k < 1:
        raise OptionError(f"k is {k}; ask for at least 1 neighbour")
    if view is not None and len(queries) == 1 and keep is None and n and _workers(rows) == 1:
        seen = _of_one(rows, queries, k=k, view=view, first_id=first_id)
        if seen is not None:
            return seen
    kept = n if keep is None else int(np.count_nonzero(keep))
    ids: Ids | None = None
    if keep is not None and (kept <= min(_GATHERED, n // 4) or kept == n):
        ids = np.flatnonzero(keep)
        if kept and ids[-1] - ids[0] + 1 == kept:  # a run of rows, such as a folder's: nothing to copy
            rows, first_id, ids = rows[ids[0] : ids[-1] + 1], first_id + int(ids[0]), None
        else:
            rows = rows[ids]  # (kept, d)
        keep = None
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    parts = []
    for start in range(0, len(queries), _QUERIES):
        part = queries[start : start + _QUERIES]
        if kept == 0:
            pairs = _no_pairs()
        elif len(part) <= _SCANNED:
            pairs = _scanned(rows, part, k=min(k, kept), keep=keep)
        else:
            pairs = _multiplied(rows, part, k=min(k, kept), keep=keep)
        parts.append(_decide(rows, part, pairs, k=k))
    found = np.concatenate([ids_ for ids_, _ in parts]) if parts else np.empty((0, k), dtype=np.int64)
    scores = np.concatenate([s for _, s in parts]) if parts else np.empty((0, k), dtype=np.float32)
    if ids is not None and len(ids):
        found = np.where(found < 0, -1, ids[found])
    return Neighbors(ids=np.where(found < 0, -1, found + first_id), scores=scores)


def _stacked(rows: StackedRows, queries: Vectors, *, k: int, keep: Bitmap | None, first_id: int) -> Neighbors:
    """Search one part after the other, and keep the best of all."""
    if keep is not None and keep.shape != (len(rows),):
        raise ShapeError(f"keep: expected ({len(rows)},) flags, got {keep.shape}")
    best = padding(len(queries), max(k, 1))
    for start, part in zip(rows.starts.tolist(), rows.parts, strict=True):
        own = None if keep is None else keep[start : start + len(part)]
        found = exact(part, queries, k=k, keep=own, first_id=first_id + start)
        best = merged(best, found, k=k)
    return best


def exact_among(rows: Halves, queries: Vectors, ids: Ids, *, k: int) -> Neighbors:
    """Find each query's ``k`` best rows among some, in time and memory for these alone.

    Args:
        rows: ``(n, d)`` float16.
        queries: ``(q, d)`` float32 unit rows.
        ids: ``(m,)`` the rows, ascending, none twice.
        k: neighbours wanted, at least 1.
    Returns:
        what `exact` finds with flags for these rows.
    """
    some = rows[ids]  # (m, d)
    found = without_faiss(some, queries, k=k)
    if found is None:
        view = fp16_view(some) if len(queries) == 1 and len(ids) else None
        found = exact(some, queries, k=k, view=view)
    missing = found.ids < 0  # (q, k)
    return Neighbors(
        ids=np.where(missing, -1, ids[np.where(missing, 0, found.ids)]) if len(ids) else found.ids,
        scores=found.scores,
    )


def _of_one(rows: Halves, query: Vectors, *, k: int, view: Any, first_id: int) -> Neighbors | None:
    """Find one query's best among so few rows that a call of numpy's is felt; None where rows are no numbers."""
    n = len(rows)
    places = min(k, n)
    with faiss_threads(1):
        found = _near(view, query, k=places, most=n, params=None)  # (m,)
    if len(found) < places or found.min() < 0:
        return None
    scores = _cosines(rows, query, (np.zeros(len(found), dtype=np.int64), found))
    best = sorted(zip((-scores).tolist(), found.tolist(), strict=True))[:k]
    answer = padding(1, k)
    answer.ids[0, :places] = [number + first_id for _, number in best]
    answer.scores[0, :places] = [-score for score, _ in best]
    return answer


def without_faiss(rows: Halves, queries: Vectors, *, k: int) -> Neighbors | None:
    """Find what `exact` does, for one query and few rows, in a process that has not loaded faiss; None where that is better used."""
    if len(queries) != 1 or not len(rows) or isinstance(rows, StackedRows) or not can_wait(rows.nbytes):
        return None
    scores = np.empty(len(rows), dtype=np.float32)
    wide = np.empty((min(len(rows), _TOGETHER), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        some = wide[: len(part)]
        floats(part, some)
        if some.max() > 1 or some.min() < -1:  # of no unit row: damaged, perhaps no number
            return None
        scores[start : start + len(part)] = dots(some, queries[0])
    places = min(k, len(rows))
    near = np.flatnonzero(scores >= np.partition(scores, -places)[-places])  # all that tie with the last, too
    best = near[np.lexsort((near, -scores[near]))[:places]]
    answer = padding(1, k)
    answer.ids[0, :places], answer.scores[0, :places] = best, scores[best]
    return answer


def scored(rows: Halves, queries: Vectors, ids: Ids, *, k: int) -> Neighbors:
    """Order candidates by exact cosine and keep the best ``k``, as `exact` would have among them.

    Args:
        rows: ``(n, d)`` float16.
        queries: ``(q, d)`` float32 unit rows.
        ids: ``(q, m)`` candidates of each query, none twice; padded with -1.
        k: neighbours wanted.
    Returns:
        ids and cosines, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
    """
    if len(queries) == 1 and ids.size <= _FEW:
        return _scored_at_a_glance(rows, queries[0], ids[0], k=k)
    whose, place = np.nonzero(ids >= 0)
    found, scores = _decide(rows, queries, (whose, ids[whose, place]), k=k)
    return Neighbors(ids=found, scores=scores)


def _scored_at_a_glance(rows: Halves, query: Vectors, ids: Ids, *, k: int) -> Neighbors:
    """Do for one query what `scored` does, with fewer calls of numpy: each costs more than a row."""
    own = ids[ids >= 0]  # (m,)
    halves = rows.take(own, axis=0)
    wide = np.empty(halves.shape, dtype=np.float32)  # (m, d)
    floats(halves, wide)
    best = sorted(zip((-dots(wide, query)).tolist(), own.tolist(), strict=True))[:k]
    answer = padding(1, k)
    answer.ids[0, : len(best)] = [number for _, number in best]
    answer.scores[0, : len(best)] = [-score for score, _ in best]
    return answer


def _no_pairs() -> Pairs:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)


def _cosines(rows: Halves, queries: Vectors, pairs: Pairs) -> NDArray[np.float32]:
    """Score pairs, each alone and so always the same."""
    scores = np.empty(len(pairs[0]), dtype=np.float32)
    for start in range(0, len(scores), _PAIRS):
        part = slice(start, start + _PAIRS)
        halves = rows[pairs[1][part]]
        wide = np.empty(halves.shape, dtype=np.float32)  # (m, d)
        floats(halves, wide)
        scores[part] = dots(wide, queries[pairs[0][part]])
    return scores


def _decide(rows: Halves, queries: Vectors, pairs: Pairs, *, k: int) -> tuple[Ids, NDArray[np.float32]]:
    """Score the candidates and lay each query's best ``k`` out, ties by smaller row."""
    found = np.full((len(queries), k), -1, dtype=np.int64)
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    scores = _cosines(rows, queries, pairs)
    order, place = _ranked(pairs, scores, k=k)
    whose = pairs[0][order]
    found[whose, place] = pairs[1][order]
    best[whose, place] = scores[order]
    return found, best


def _ranked(pairs: Pairs, scores: NDArray[np.float32], *, k: int) -> tuple[Ids, Ids]:
    """Return which candidates are among their query's best ``k``, and at which place."""
    order = np.lexsort((pairs[1], -scores, pairs[0]))
    whose = pairs[0][order]
    fresh = np.flatnonzero(np.concatenate(([True], whose[1:] != whose[:-1]))) if len(whose) else whose
    place = np.arange(len(whose)) - np.repeat(fresh, np.diff(np.append(fresh, len(whose))))
    return order[place < k], place[place < k]


def _scanned(rows: Halves, queries: Vectors, *, k: int, keep: Bitmap | None) -> Pairs:
    """Find candidates by streaming the halves past each query."""
    workers = _workers(rows)
    step = -(-len(rows) // workers)
    pieces = count()

    def work() -> Pairs:
        start = next(pieces) * step
        part = rows[start : start + step]
        flags = None if keep is None else keep[start : start + step]
        if len(part) == 0:
            return _no_pairs()
        most = len(part) if flags is None else int(np.count_nonzero(flags))
        return _from(_scan(part, queries, k=min(k, most), most=most, keep=flags), start)

    return _joined(in_threads(work, workers=workers))


def _workers(rows: Halves) -> int:
    """Return how many threads are worth their start for one query."""
    return threads() if rows.nbytes >= _PARALLEL_BYTES else 1


def _from(pairs: Pairs, start: int) -> Pairs:
    return pairs[0], pairs[1] + start


def _joined(parts: list[Pairs]) -> Pairs:
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _scan(rows: Halves, queries: Vectors, *, k: int, most: int, keep: Bitmap | None) -> Pairs:
    if k == 0:
        return _no_pairs()
    module, view = faiss(), fp16_view(rows)
    params = None
    if keep is not None:
        bits = np.packbits(keep, bitorder="little")
        params = module.SearchParameters(sel=module.IDSelectorBitmap(bits))
    whose, found = [], []
    for number in range(len(queries)):
        found.append(_near(view, queries[number : number + 1], k=k, most=most, params=params))
        whose.append(np.full(len(found[-1]), number, dtype=np.int64))
    return np.concatenate(whose), np.concatenate(found)


def _near(view: Any, query: Vectors, *, k: int, most: int, params: Any) -> Ids:
    """Return the rows, of ``most``, that may be among a query's best ``k``."""
    wanted = min(k + 8, most)
    while True:
        scores, ids = view.search(query, wanted, params=params)
        near = scores[0] >= scores[0, k - 1] - ROUNDING
        if wanted == most or not near[-1]:
            found: Ids = ids[0, near]
            return found
        wanted = min(wanted * 4, most)  # more ties than there were places for


class _Shortlist:
    """One thread's candidates of every query, and the cosine that the ``k``-th best is known to reach.

    Args:
        rows: ``(n, d)`` float16.
        queries: ``(q, d)`` float32 unit rows.
        floor: ``(q,)`` shared by all threads; only ever a valid bound, however their writes interleave.
        k: neighbours wanted.
        rough: scores may be far enough from the cosines that candidates are better scored exactly from time to time.
    """

    def __init__(
        self, rows: Halves, queries: Vectors, floor: NDArray[np.float32], *, k: int, rough: bool
    ) -> None:
        self._rows, self._queries, self._k, self._rough = rows, queries, k, rough
        self.floor = floor
        self._top = np.full((len(queries), k), -np.inf, dtype=np.float32)
        self._whose: list[Ids] = []
        self._found: list[Ids] = []
        self._scores: list[NDArray[np.float32]] = []
        self._error = np.zeros(len(queries), dtype=np.float32)  # the greatest of what scores here are off by
        self._waiting = self._tiles = 0

    def take(
        self, scores: NDArray[np.float32], ids: Ids | int, error: NDArray[np.float32], *, most: int | None
    ) -> bool:
        """Keep what may count of a tile.

        The best score of a group of rows is found at the speed of memory; only groups whose best one may count are
        looked into, which after the first tiles are very few.

        Args:
            scores: ``(m, q)``.
            ids: ``(m,)``, or the first of consecutive ones.
            error: ``(q,)`` what they may be off by.
            most: refuse more candidates than that.
        Returns:
            whether they were kept.
        """
        m, q = scores.shape
        groups = m // _GROUP
        whole = groups * _GROUP
        grouped = scores[:whole].reshape(_GROUP, groups, q)  # row r is in group r % groups
        top = np.maximum.reduce(grouped, axis=0)  # (groups, q)
        if groups >= self._k and self._tiles < _FLOOR_TILES:
            # The k-th best of the groups' best is at most the k-th best of all.
            reached = np.partition(top, groups - self._k, axis=0)[-self._k]
            np.maximum(self.floor, reached - error, out=self.floor)
        elif m >= self._k and np.isneginf(self.floor[0]):
            head = scores[: max(256, 4 * self._k)]
            reached = np.partition(head, len(head) - self._k, axis=0)[-self._k]
            np.maximum(self.floor, reached - error, out=self.floor)
        self._tiles += 1
        least = self.floor - error  # (q,)
        group, whose = np.divmod(np.flatnonzero(top >= least), q)
        inside = grouped[:, group, whose]  # (_GROUP, f)
        place, hit = np.nonzero(inside >= least[whose])
        if most is not None and hit.size > most:
            return False
        self._error = np.maximum(self._error, error)
        self._keep(place * groups + group[hit], whose[hit], inside[place, hit], ids)
        if whole < m:
            row, whose = np.nonzero(scores[whole:] >= least)
            self._keep(row + whole, whose, scores[row + whole, whose], ids)
        if self._waiting >= 2 * self._top.size:
            self.tighten()
        return True

    def _keep(self, row: Ids, whose: Ids, scores: NDArray[np.float32], ids: Ids | int) -> None:
        if row.size:
            self._whose.append(whose)
            self._found.append(row + ids if isinstance(ids, int) else ids[row])
            self._scores.append(scores)
            self._waiting += row.size

    def tighten(self) -> None:
        """Raise the floor to each query's k-th best so far, and drop what falls below it."""
        whose, found, scores = (
            np.concatenate(self._whose),
            np.concatenate(self._found),
            np.concatenate(self._scores),
        )
        self._raise(whose, scores, *_ranked((whose, found), scores, k=self._k), self._error)
        stays = scores >= (self.floor - self._error)[whose]
        whose, found, scores = whose[stays], found[stays], scores[stays]
        if (
            self._rough or len(whose) > 4 * self._top.size
        ):  # or copies by the thousand: settle their order now
            scores = _cosines(self._rows, self._queries, (whose, found))
            order, place = _ranked((whose, found), scores, k=self._k)
            self._raise(whose, scores, order, place, np.float32(0))
            whose, found, scores = whose[order], found[order], scores[order]
        self._whose, self._found, self._scores = [whose], [found], [scores]
        self._waiting = max(0, len(whose) - self._top.size)

    def _raise(
        self,
        whose: Ids,
        scores: NDArray[np.float32],
        order: Ids,
        place: Ids,
        error: NDArray[np.float32] | np.float32,
    ) -> None:
        self._top.fill(-np.inf)
        self._top[whose[order], place] = scores[order]
        np.maximum(self.floor, self._top[:, -1] - error, out=self.floor)

    def pairs(self) -> Pairs:
        """Return the candidates that are left."""
        if not self._whose:
            return _no_pairs()
        self.tighten()
        return self._whose[0], self._found[0]


def _multiplied(rows: Halves, queries: Vectors, *, k: int, keep: Bitmap | None) -> Pairs:
    """Find candidates by multiplying tiles of rows with all queries at once."""
    n, dim = rows.shape
    q = len(queries)
    brief = q <= _BRIEF and dim % 2 == 0 and n >= _ROWS_PER_PLACE * k * q
    workers = max(1, min(threads(), n // _TILE))
    tile = _tile(n, q, k=k, workers=workers)
    floor = np.full(q, -np.inf, dtype=np.float32)
    starts = count(0, tile)

    def work() -> Pairs:
        shortlist = _Shortlist(rows, queries, floor, k=k, rough=brief)
        product: Product = Brief(queries) if brief else Floats(queries)
        buffer = np.empty((tile, q), dtype=np.float32)
        while (start := next(starts)) < n:
            part = rows[start : start + tile]
            ids: Ids | int = start
            if keep is not None:
                flags = keep[start : start + tile]
                if not flags.all():
                    local = np.flatnonzero(flags)
                    part, ids = part[local], local + start
            scores = buffer[: len(part)]
            product.scores(part, scores)
            most = len(part) // 2 if isinstance(product, Brief) else None
            if not shortlist.take(scores, ids, product.error, most=most):
                # From here on: these rows are too much alike to be told apart roughly.
                product = Floats(queries)
                product.scores(part, scores)
                shortlist.take(scores, ids, product.error, most=None)
        return shortlist.pairs()

    return _joined(in_threads(work, workers=workers))


def _tile(n: int, q: int, *, k: int, workers: int) -> int:
    """Return how many rows to score before looking at the scores: many, but some tiles for each thread."""
    most = _TILES * _TILE
    return max(_TILE, min(4 * k, most), min(_SCORES // q, n // (4 * workers), most) // _TILE * _TILE)

"""Turn what vectors and names found together into hits: fuse the two rankings, fold copies, say what matched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.collection.answers.folding import (
    columns_of,
    duplicates_of,
    find_rows,
    first_distinct,
    hit_facts,
    regions_of,
    two_sided,
)
from retrieval.collection.answers.hit import Hit
from retrieval.collection.queries import RowFilter
from retrieval.names import SAMPLE, fused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from indexes.migration import Blend
    from indexes.store import Record
    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Opened
    from retrieval.names import LookedUp

DEEPER: Final = 100
"""Best rows by vectors that are looked at where the query has words that very many rows have."""

_MOST: Final = 2_048
"""Rows found by names that are compared with the query."""


@dataclass(slots=True, kw_only=True)
class _Pool:
    """Rows that may become hits, each once: ids, what orders them, whether of the new space, what names say."""

    ids: Ids
    scores: NDArray[np.float32]
    renewed: NDArray[np.bool_]
    gains: NDArray[np.float64]


def find_named_hits(
    opened: Opened,
    query: Vectors | None,
    looked: LookedUp,
    *,
    k: int,
    words: bool,
    only: bool,
    hidden: frozenset[int],
    keep: RowFilter | None,
    fold: bool,
    root: str,
    min_score: float | None = None,
    first: Blend | None = None,
    **options: Any,
) -> list[Hit]:
    """Return the ``k`` best hits by vectors and names together.

    Args:
        opened: what is searched.
        query: ``(1, d)``, as `Opened.search` takes it; None where the encoder has no vector for it.
        looked: what the names say; with all rows of common words where vectors do not take part.
        k: how many hits at most.
        words: the query is words only.
        only: hits must have been found by their names.
        hidden, keep, fold, root, first, options: as in `find_hits`.
        min_score: leave out rows whose cosine is below, and whose names say nothing.
    """
    by_image: frozenset[int] = frozenset()
    found: Blend | None = None
    chosen: list[tuple[int, Record]] = []
    if query is not None:
        found, chosen = find_rows(
            opened,
            query,
            k=max(k, DEEPER) if looked.has_common and not only else k,
            words=words,
            hidden=hidden,
            keep=keep,
            fold=fold,
            min_score=min_score,
            first=first,
            **options,
        )
        by_image = frozenset(record.id for _, record in chosen[:k])

    nearest = None if query is None else _Nearest(opened, query, words=words)
    pool = _named(looked, hidden, nearest)
    if found is not None and not only:
        pool = _joined(pool, _by_vector(opened, looked, found, chosen))
    order = _order(opened, pool, None if only else nearest, found)
    return _hits(
        opened, looked, pool, order, by_image, nearest, k=k, hidden=hidden, keep=keep, fold=fold, root=root
    )


class _Nearest:
    """Compares chosen rows with a query."""

    def __init__(self, opened: Opened, query: Vectors, *, words: bool) -> None:
        self._opened, self._query, self._words = opened, query, words

    def best(self, ids: Ids, k: int) -> Blend:
        """Return the ``k`` nearest of some rows, with the very cosines that a search gives."""
        among = RowFilter(self._opened.manifest.count, ids=ids)
        return self._opened.search(self._query, k=max(k, 1), keep=among, words=self._words)

    def pool(self, ids: Ids, gains: NDArray[np.float64]) -> _Pool:
        """Return rows ``(n,)``, ascending, as a pool; cosines may be a rounding off."""
        if self._opened.pair is None:
            cosines = self._opened.generation.vectors(ids) @ self._query[0]  # (n,)
            return _Pool(
                ids=ids,
                scores=cosines,
                renewed=np.zeros(len(ids), dtype=np.bool_),
                gains=gains,
            )
        found = self.best(ids, len(ids))
        order = np.argsort(found.ids[0])
        return _Pool(
            ids=ids,
            scores=found.scores[0, order],
            renewed=found.renewed[0, order],
            gains=gains,
        )


def _named(looked: LookedUp, hidden: frozenset[int], nearest: _Nearest | None) -> _Pool:
    """Return the rows that names found: those that say most, and of equal ones the nearest."""
    ids, gains = looked.ids, looked.gains(looked.has)
    if hidden:
        shown = ~np.isin(ids, list(hidden))
        ids, gains = ids[shown], gains[shown]
    if nearest is None or not len(ids):
        nothing = np.full(len(ids), math.nan, dtype=np.float32)
        new = np.zeros(len(ids), dtype=np.bool_)
        return _Pool(ids=ids, scores=nothing, renewed=new, gains=gains)
    if len(ids) > _MOST:
        least = np.partition(gains, -_MOST)[-_MOST]
        more = np.flatnonzero(gains > least)
        equal = nearest.best(ids[gains == least], _MOST - len(more)).ids[0]
        taken = np.sort(np.concatenate([more, np.searchsorted(ids, equal[equal >= 0])]))
        ids, gains = ids[taken], gains[taken]
    return nearest.pool(ids, gains)


def _by_vector(opened: Opened, looked: LookedUp, found: Blend, chosen: list[tuple[int, Record]]) -> _Pool:
    """Return the rows that vectors found."""
    places = np.array([place for place, _ in chosen], dtype=np.int64)
    ids = found.ids[0, places]
    gains = np.zeros(len(ids))
    if looked.has_common and len(ids):
        texts = (set().union(*named.values()) for named in opened.names.named_by(ids))
        gains = looked.gains(looked.words_of(texts))
    return _Pool(
        ids=ids,
        scores=found.scores[0, places],
        renewed=found.renewed[0, places],
        gains=gains,
    )


def _joined(first: _Pool, second: _Pool) -> _Pool:
    """Return the rows of two pools, each once, as the first one has it."""
    new = ~np.isin(second.ids, first.ids)
    return _Pool(
        ids=np.concatenate([first.ids, second.ids[new]]),
        scores=np.concatenate([first.scores, second.scores[new]]),
        renewed=np.concatenate([first.renewed, second.renewed[new]]),
        gains=np.concatenate([first.gains, second.gains[new]]),
    )


def _order(opened: Opened, pool: _Pool, nearest: _Nearest | None, found: Blend | None) -> NDArray[np.int64]:
    """Return the places of the pool, best first; ties by smaller id."""
    if nearest is None or found is None or not pool.gains.any():
        return np.lexsort((pool.ids, -np.nan_to_num(pool.scores, nan=0.0), -pool.gains))
    usual = opened.spread_ids(SAMPLE)
    sample = nearest.pool(usual, np.zeros(len(usual))).scores
    best = max(float(pool.scores.max()), float(found.scores[0, :1].max(initial=-1.0)))
    lifted = fused(pool.scores, pool.gains, best=best, usual=sample)
    return np.lexsort((pool.ids, -pool.scores, -lifted))


def _hits(
    opened: Opened,
    looked: LookedUp,
    pool: _Pool,
    order: NDArray[np.int64],
    by_image: frozenset[int],
    nearest: _Nearest | None,
    *,
    k: int,
    hidden: frozenset[int],
    keep: RowFilter | None,
    fold: bool,
    root: str,
) -> list[Hit]:
    chosen = first_distinct(_records(opened, pool.ids, order, k), k=k, fold=fold)
    records = [record for _, record in chosen]
    same = duplicates_of(opened, records, hidden=hidden, keep=keep) if fold else {}
    ids = np.array([record.id for record in records], dtype=np.int64)
    if nearest is not None and len(ids):  # the very cosines that a search by vectors alone gives
        sides = nearest.best(np.sort(ids), len(ids))
        exact = dict(zip(sides.ids[0].tolist(), sides.cosines[0].tolist(), strict=True))
        regions = dict(
            zip(sides.ids[0].tolist(), regions_of(opened, sides, range(sides.ids.shape[1])), strict=True)
        )
    else:
        regions = {}
        exact = dict.fromkeys(ids.tolist(), math.nan)
    columns = columns_of(opened, ids.tolist())
    hits = []
    for rank, ((place, record), named) in enumerate(zip(chosen, opened.names.named_by(ids), strict=True), 1):
        copies = {record.id, *same.get(record.content, ())}
        matched = ["image"] if not by_image.isdisjoint(copies) else []
        matched += [name for name, text in named.items() if looked.words_of([text]).any()]
        facts = hit_facts(opened, record, same, root=root)
        facts |= two_sided(opened, float(pool.scores[place]), renewed=bool(pool.renewed[place]))
        facts |= regions.get(record.id, {})
        hits.append(
            Hit(
                rank=rank,
                score=exact[record.id],
                matched=matched,
                columns=columns[rank - 1],
                **facts,
            )
        )
    return hits


def _records(opened: Opened, ids: Ids, order: NDArray[np.int64], k: int) -> Iterator[tuple[int, Record]]:
    """Yield places in an order, with their records, read some at a time."""
    for start in range(0, len(order), 2 * k):
        places = order[start : start + 2 * k]
        yield from zip(places.tolist(), opened.store.records(ids[places].tolist()), strict=True)

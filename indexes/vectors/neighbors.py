"""Define the neighbours that a search finds, and put lists of them in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from indexes.vectors.arrays import Ids

# What other libraries call the parts, and this table.
_MEANT = {
    "to_pandas": "pandas.DataFrame(neighbors)",
    "to_df": "pandas.DataFrame(neighbors)",
    "to_list": "to_dicts()",
    "indices": "ids",
    "labels": "ids",
    "distances": "scores: cosines, higher is better",
    "shape": "ids.shape",
}
_SHOWN = 10  # queries, and neighbours of each, in a notebook
_MANY = 4  # times the places wanted from which it pays to leave most candidates out before they are sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """One line of a table of neighbours.

    Attributes:
        query: which query, from 0.
        rank: 1 for the best.
        id: the row.
        score: its cosine, higher is better.
    """

    query: int
    rank: int
    id: int
    score: float


class QueryNeighbors(NamedTuple):
    """The neighbours of one query, best first, without padding: ``ids, scores = neighbors[0]``.

    Attributes:
        ids: ``(m,)`` int64, ``m <= k``.
        scores: ``(m,)`` float32 cosines, higher is better.
    """

    ids: Ids
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """The neighbours of some queries, best first: ``ids, scores = neighbors``.

    ``len`` is the number of queries, ``neighbors[i]`` what query i has found.

    Attributes:
        ids: ``(q, k)`` int64, padded with -1.
        scores: ``(q, k)`` float32 cosines, higher is better; padded with -inf.
    """

    ids: Ids
    scores: NDArray[np.float32]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.ids, self.scores))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, query: int) -> QueryNeighbors: ...
    @overload
    def __getitem__(self, query: slice) -> Neighbors: ...
    def __getitem__(self, query: int | slice) -> QueryNeighbors | Neighbors:
        if isinstance(query, slice):
            return Neighbors(ids=self.ids[query], scores=self.scores[query])
        found = self.ids[query] >= 0  # (k,)
        return QueryNeighbors(ids=self.ids[query][found], scores=self.scores[query][found])

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists

        def __getattr__(self, name: str) -> Any:
            meant = _MEANT.get(name)
            said = f"; use {meant}" if meant else ""
            raise AttributeError(f"'Neighbors' object has no attribute {name!r}{said}")

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a dictionary a neighbour: ``query`` from 0, ``rank`` from 1, ``id`` and ``score``; no padding."""
        columns = self.columns()
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of that table, ``(m,)`` each: ``pandas.DataFrame(neighbors.columns())`` is fast."""
        query, place = np.nonzero(self.ids >= 0)  # (m,), (m,)
        return {
            "query": query,
            "rank": place + 1,
            "id": self.ids[query, place],
            "score": self.scores[query, place],
        }

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return a `Neighbor` an object ``(m,)``, without padding: so ``pandas.DataFrame(neighbors)`` is that table, too.

        For arrays of numbers take ids and scores apart.
        """
        rows = [Neighbor(**row) for row in self.to_dicts()]
        result = np.empty(len(rows), dtype=object)
        result[:] = rows
        return result

    def _repr_html_(self) -> str:
        """Show the first of them in a notebook, a line a query."""
        queries, places = self.ids.shape
        shown = min(places, _SHOWN)
        lines = [
            "".join(
                f"<td>{number} <small>{score:.3f}</small></td>"
                for number, score in zip(ids, scores, strict=True)
                if number >= 0
            )
            for ids, scores in zip(
                self.ids[:_SHOWN, :shown].tolist(), self.scores[:_SHOWN, :shown].tolist(), strict=True
            )
        ]
        ranks = "".join(f"<th>{rank}</th>" for rank in range(1, shown + 1))
        rows = "".join(f"<tr><th>{query}</th>{cells}</tr>" for query, cells in enumerate(lines))
        return (
            f"<table><caption>{queries:,} queries, {places:,} neighbours each: "
            f"row id <small>score</small></caption><tr><th>query</th>{ranks}</tr>{rows}</table>"
        )


def ranking(ids: Ids, scores: NDArray[np.float32], *, k: int) -> NDArray[np.int64]:
    """Return where in its row each of the best ``k`` stands, as `best` orders them: ``(q, min(s, k))``."""
    scores = np.where(ids < 0, -np.inf, scores)  # (q, s)
    if scores.shape[1] <= _MANY * k or not len(scores):
        order: NDArray[np.int64] = np.lexsort((ids, -scores), axis=-1)[:, :k]
        return order
    # Only those that may be among the best are sorted: all that are no worse than the k-th.
    least = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]  # (q, 1)
    most = max(k, int((scores >= least).sum(axis=1).max()))
    some = np.argpartition(-scores, most - 1, axis=1)[:, :most]  # (q, m)
    near = np.take_along_axis(scores, some, axis=1)
    order = np.lexsort((np.take_along_axis(ids, some, axis=1), -near), axis=-1)[:, :k]
    return np.take_along_axis(some, order, axis=1)


def best(ids: Ids, scores: NDArray[np.float32], *, k: int) -> Neighbors:
    """Keep each row's best ``k``, ties by smaller id, padding (-1) last.

    Args:
        ids: ``(q, s)`` int64, padded with -1.
        scores: ``(q, s)`` float32.
    Returns:
        ids and scores, ``(q, k)``, padded with -1 and -inf where ``s < k``.
    """
    scores = np.where(ids < 0, -np.inf, scores).astype(np.float32)  # (q, s)
    order = ranking(ids, scores, k=k)  # (q, min(s, k))
    ids = np.take_along_axis(ids, order, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    short = k - ids.shape[1]
    if short > 0:
        ids = np.pad(ids, ((0, 0), (0, short)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, short)), constant_values=-np.inf)
    return Neighbors(ids=np.where(np.isneginf(scores), -1, ids), scores=scores)


def padding(queries: int, k: int) -> Neighbors:
    """Return ``(queries, k)`` places that nobody has taken yet: ids -1 and scores -inf, to be written to."""
    return Neighbors(
        ids=np.full((queries, k), -1, dtype=np.int64), scores=np.full((queries, k), -np.inf, dtype=np.float32)
    )


def concatenated(parts: Sequence[Neighbors]) -> Neighbors:
    """Return what parts of some queries have found as one, in the order of the queries; there is one part at least."""
    if len(parts) == 1:
        return parts[0]
    return Neighbors(
        ids=np.concatenate([part.ids for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
    )


def merged(one: Neighbors, other: Neighbors, *, k: int) -> Neighbors:
    """Keep the best ``k`` of two lists a query, of rows that differ; ties by smaller id."""
    return best(np.hstack((one.ids, other.ids)), np.hstack((one.scores, other.scores)), k=k)

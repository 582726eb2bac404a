"""Search for one query or for a batch: encode together, search as one matrix, turn each one's rows into hits."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from indexes.errors import value_text
from indexes.migration import Blend
from retrieval.collection.answers import Hits, find_hits, title
from retrieval.collection.queries import ONE_QUERYS, as_query, encode_queries, encode_query, total
from retrieval.errors import OptionError, RetrievalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from retrieval.collection.queries import (
        Query,
        QueryEncoders,
        QueryLike,
        QueryVector,
        RowFilter,
        RowNames,
    )
    from retrieval.collection.snapshot import Opened

__all__ = ["SearchOptions", "SearchRun"]

_TOGETHER = 1024
"""Queries that are encoded and searched together; what is held besides the answers is theirs alone."""

_PLACES = 1 << 22
"""Ids and scores that are held at once."""


class SearchOptions(TypedDict, total=False):
    """What `Collection.search` takes besides the query."""

    k: int
    minus: QueryLike | Sequence[QueryLike]
    min_score: float | None
    truncate_dim: int | None
    nprobe: int | None
    exact: bool
    under: str | os.PathLike[str] | None
    glob: str | None
    ids: RowNames | None
    mask: Any
    include_self: bool
    fold_duplicates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRun:
    """One call of `Collection.search`.

    Attributes:
        opened: what is searched.
        encoders: of the queries.
        root: the folder that paths are relative to.
        minus: what every query is steered away from.
        keep: which rows may be found; None for all.
        searched: how many rows these are.
        k: how many hits at most.
        min_score: leave out hits below this cosine.
        include_self: let stored rows find themselves.
        fold: fold files with the same bytes into one hit.
        options: ``dim``, ``nprobe`` and ``exact`` of `Opened.search`.
    """

    opened: Opened
    encoders: QueryEncoders
    root: Path
    minus: Sequence[Query]
    keep: RowFilter | None
    searched: int
    k: int
    min_score: float | None
    include_self: bool
    fold: bool
    options: dict[str, Any]

    def __post_init__(self) -> None:
        least = self.min_score
        if least is not None and (isinstance(least, bool) or not _is_cosine(least)):
            raise OptionError(
                f"min_score is {value_text(least)} ({type(least).__name__}); it must be a number, such as 0.3"
            )

    def one(self, query: Query) -> Hits:
        """Answer one query.

        Raises:
            RetrievalError: it has no answer.
        """
        whole = self._whole(query)
        return self._answer(whole, encode_query(whole, self.opened, self.encoders, root=self.root))

    def many(self, items: Sequence[Any]) -> list[Hits]:
        """Answer each of many queries; one that has no answer has its error instead.

        Args:
            items: queries as callers give them.
        """
        answers: list[Hits] = []
        for start in range(0, len(items), _TOGETHER):
            answers += self._together(items[start : start + _TOGETHER])
        return answers

    def _together(self, items: Sequence[Any]) -> list[Hits]:
        read: list[Query | RetrievalError] = []
        for item in items:
            try:
                read.append(self._whole(as_query(item, beside=self.root)))
            except ONE_QUERYS as error:
                read.append(error)
        queries = [one for one in read if not isinstance(one, RetrievalError)]
        vectors = self._vectors(queries)
        found = self._first([one for one in vectors if not isinstance(one, RetrievalError)])
        asked = iter(zip(queries, vectors, strict=True))
        answers = []
        for one in read:
            if isinstance(one, RetrievalError):
                answers.append(Hits.failed(one))
                continue
            query, vector = next(asked)
            if isinstance(vector, RetrievalError):
                answers.append(Hits.failed(vector, query=title(query.terms)))
            else:
                answers.append(self._answer(query, vector, first=next(found)))
        return answers

    def _whole(self, query: Query) -> Query:
        return total([query, *(-away for away in self.minus)]) if self.minus else query

    def _vectors(self, queries: Sequence[Query]) -> list[QueryVector | RetrievalError]:
        return encode_queries(queries, self.opened, self.encoders, root=self.root)

    def _first(self, asked: Sequence[QueryVector]) -> Iterator[Blend]:
        """Search for all queries together; yield for each what `find_hits` begins with."""
        rows = max(self.opened.manifest.count, 1)
        hidden = 0 if self.include_self else max((len(one.rows) for one in asked), default=0)
        wanted = min(self.k + hidden, rows)
        step = max(1, _PLACES // wanted)
        for start in range(0, len(asked), step):
            some = asked[start : start + step]
            found: dict[bool, Iterator[Blend]] = {}
            for words in (False, True):
                alike = [one.vector for one in some if one.words == words]
                if alike:
                    found[words] = _each(
                        self.opened.search(
                            np.concatenate(alike), k=wanted, keep=self.keep, words=words, **self.options
                        )
                    )
            for one in some:
                yield next(found[one.words])

    def _answer(self, query: Query, asked: QueryVector, *, first: Blend | None = None) -> Hits:
        hits = find_hits(
            self.opened,
            asked.vector,
            k=self.k,
            words=asked.words,
            hidden=frozenset() if self.include_self else asked.rows,
            keep=self.keep,
            fold=self.fold,
            root=os.fspath(self.root),
            min_score=self.min_score,
            first=first,
            **self.options,
        )
        return Hits(hits, query=title(query.terms), searched=self.searched, unknown_words=asked.unknown_words)


def _each(found: Blend) -> Iterator[Blend]:
    """Yield what was found for each query."""
    for number in range(len(found.ids)):
        part = slice(number, number + 1)
        yield Blend(
            ids=found.ids[part],
            scores=found.scores[part],
            cosines=found.cosines[part],
            renewed=found.renewed[part],
        )


def _is_cosine(value: Any) -> bool:
    """Say whether a value can be compared with cosines: a number, and not NaN."""
    try:
        return hasattr(value, "__float__") and not math.isnan(value)
    except TypeError:  # an array of several
        return False

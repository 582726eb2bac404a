"""Search for one query or for a batch: encode together, search as one matrix, turn each one's rows into hits.

Long because all steps of a call share what it asked for.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, get_args

import numpy as np

from indexes.errors import value_text
from indexes.migration import Blend
from retrieval.collection.answers import DEEPER, Hits, find_hits, find_named_hits, title
from retrieval.collection.queries import (
    ONE_QUERYS,
    as_query,
    encode_queries,
    encode_query,
    require_whole_row,
    total,
)
from retrieval.collection.relevance import LOOKED_AT
from retrieval.collection.verdicts import judge_of
from retrieval.errors import CapabilityMissing, ImageError, OptionError, RetrievalError, UnknownWords

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from indexes.vectors import Ids
    from retrieval.collection.queries import (
        Query,
        QueryEncoders,
        QueryLike,
        QueryVector,
        RowFilter,
        RowNames,
    )
    from retrieval.collection.snapshots import Opened
    from retrieval.names import LookedUp

NamesMode: TypeAlias = Literal["auto", "only", "off"]
"""Whether words are looked up in names, too; names alone answer; or vectors alone."""

MODES: Final = get_args(NamesMode)

WORDLESS: Final = (UnknownWords, CapabilityMissing)
"""Errors of words that the encoder cannot turn into a vector."""

_TOGETHER = 1024
"""Queries that are encoded and searched together; what is held besides the answers is theirs alone."""

_PLACES = 1 << 22
"""Ids and scores that are held at once."""


class SearchOptions(TypedDict, total=False):
    """What `Collection.search` takes besides the query."""

    k: int
    minus: QueryLike | Sequence[QueryLike]
    min_score: float | None
    names: NamesMode
    truncate_dim: int | None
    nprobe: int | None
    exact: bool
    under: str | os.PathLike[str] | None
    glob: str | None
    ids: RowNames | None
    mask: Any
    where: Any
    include_self: bool
    fold_duplicates: bool
    verify: bool | int
    sure: bool


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
        names: whether words are looked up in names, too.
        include_self: let stored rows find themselves.
        fold: fold files with the same bytes into one hit.
        verify: how many of the first hits are compared with the picture that was asked with.
        sure: drop hits that likely do not match.
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
    names: NamesMode
    include_self: bool
    fold: bool
    verify: int
    sure: bool
    options: dict[str, Any]

    def __post_init__(self) -> None:
        least = self.min_score
        if least is not None and (isinstance(least, bool) or not _is_cosine(least)):
            raise OptionError(
                f"min_score is {value_text(least)} ({type(least).__name__}); it must be a number, such as 0.3"
            )
        if self.names not in MODES:
            raise OptionError(f"names is {self.names!r:.80}; it must be one of {', '.join(map(repr, MODES))}")

    def one(self, query: Query) -> Hits:
        """Answer one query.

        Raises:
            RetrievalError: it has no answer.
        """
        whole = self._readable(query)
        looked = self._looked_up(whole)
        try:
            asked = encode_query(whole, self.opened, self.encoders, root=self.root, keep=_held(looked))
        except WORDLESS as error:
            return self._answer_without_vector(whole, error)
        return self._answer(whole, asked, looked)

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
                read.append(self._readable(as_query(item, beside=self.root)))
            except ONE_QUERYS as error:
                read.append(error)
        queries = [one for one in read if not isinstance(one, RetrievalError)]
        looked = [self._looked_up(query) for query in queries]
        vectors = self._vectors(queries, looked)
        found = self._first(
            [
                (one, up)
                for one, up in zip(vectors, looked, strict=True)
                if not isinstance(one, RetrievalError)
            ]
        )
        asked = iter(zip(queries, vectors, looked, strict=True))
        answers = []
        for one in read:
            if isinstance(one, RetrievalError):
                answers.append(Hits.failed(one))
                continue
            query, vector, up = next(asked)
            if isinstance(vector, RetrievalError):
                answers.append(self._failed(query, vector))
            else:
                first = next(found)
                try:
                    answers.append(self._answer(query, vector, up, first=first))
                except ImageError as error:  # read again for `verify`
                    answers.append(Hits.failed(error, query=title(query.terms)))
        return answers

    def _failed(self, query: Query, error: RetrievalError) -> Hits:
        """Return the answer to a query that has no vector: by its names, where these have its words."""
        if isinstance(error, WORDLESS):
            try:
                return self._answer_without_vector(query, error)
            except ONE_QUERYS as failed:
                error = failed
        return Hits.failed(error, query=title(query.terms))

    @property
    def _depth(self) -> int:
        """How many hits are needed before the check."""
        return max(self.k, self.verify)

    def _readable(self, query: Query) -> Query:
        """Return the whole of a query.

        Raises:
            OptionError: hits cannot be compared with it.
        """
        if self.verify:
            from retrieval.collection.verdicts import pictured

            pictured(query)
        return self._whole(query)

    def _whole(self, query: Query) -> Query:
        return total([query, *(-away for away in self.minus)]) if self.minus else query

    def _vectors(
        self, queries: Sequence[Query], looked: Sequence[LookedUp | None]
    ) -> list[QueryVector | RetrievalError]:
        keep = [_held(one) for one in looked]
        return encode_queries(queries, self.opened, self.encoders, root=self.root, keep=keep)

    def _first(self, pairs: Sequence[tuple[QueryVector, LookedUp | None]]) -> Iterator[Blend]:
        """Search for all queries together; yield for each what `find_hits` begins with."""
        asked = [one for one, _ in pairs]
        rows = max(self.opened.manifest.count, 1)
        deeper = any(up is not None and up.has_common for _, up in pairs)
        hidden = 0 if self.include_self else max((len(one.rows) for one in asked), default=0)
        wanted = min(max(self._depth, LOOKED_AT, DEEPER if deeper else 0) + hidden, rows)
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

    def _answer(
        self, query: Query, asked: QueryVector, looked: LookedUp | None, *, first: Blend | None = None
    ) -> Hits:
        judge = judge_of(
            query,
            asked,
            self.opened,
            searched=self.searched,
            by_names=self.names == "only",
            needed=self.sure,
        )
        if first is None and judge.calibration is not None:
            first = next(self._first([(asked, looked)]))
        hidden = frozenset() if self.include_self else asked.rows
        settings: dict[str, Any] = {
            "k": self._depth,
            "words": asked.words,
            "hidden": hidden,
            "keep": self.keep,
            "fold": self.fold,
            "root": os.fspath(self.root),
            "min_score": self.min_score,
            "first": first,
            **self.options,
        }
        unknown = asked.unknown_words
        if looked is None:
            hits = find_hits(self.opened, asked.vector, **settings)
        else:
            unknown = _nowhere(unknown, looked)
            hits = find_named_hits(self.opened, asked.vector, looked, only=self.names == "only", **settings)
        if hits and hits[0].score == 0:  # as likely damage as an answer
            require_whole_row(hits[0].id, self.opened)
        answer = Hits(
            hits,
            query=title(query.terms),
            searched=self.searched,
            unknown_words=unknown,
            read_as=asked.read_as,
        )
        if first is not None:
            judge.judge(answer, asked, first, self.opened, hidden=hidden, searched=self.searched)
        if self.verify:
            answer = self._verified(query, asked, answer, hidden)
        return answer[: answer.likely] if self.sure else answer

    def _verified(self, query: Query, asked: QueryVector, answer: Hits, hidden: frozenset[int]) -> Hits:
        """Compare the first hits with the picture that was asked with, and with parts of it where the rows have parts."""
        from retrieval.collection.verdicts import checked_hits, pictured, query_picture, with_parts

        picture = query_picture(pictured(query), self.opened, root=self.root)
        checked = checked_hits(answer, picture, opened=self.opened, most=self.verify, k=self.k)
        if self.opened.views is None or any(hit.relation == "picture" for hit in checked):
            return checked
        return with_parts(
            checked,
            picture,
            asked.vector,
            opened=self.opened,
            encoders=self.encoders,
            root=self.root,
            most=self.verify,
            k=self.k,
            hidden=hidden,
            keep=self.keep,
            fold=self.fold,
            min_score=self.min_score,
            options=self.options,
        )

    def _answer_without_vector(self, query: Query, error: RetrievalError) -> Hits:
        """Answer words that the encoder does not read by names alone.

        Raises:
            RetrievalError: `error`, if no name has any of the words.
        """
        looked = self._looked_up(query, all_rows=True)
        if looked is None or not len(looked.ids):
            raise error
        hits = find_named_hits(
            self.opened,
            None,
            looked,
            k=self.k,
            words=True,
            only=True,
            hidden=frozenset(),
            keep=self.keep,
            fold=self.fold,
            root=os.fspath(self.root),
        )
        unknown = _nowhere(error.words if isinstance(error, UnknownWords) else (), looked)
        return Hits(hits, query=title(query.terms), searched=self.searched, unknown_words=unknown)

    def _looked_up(self, query: Query, *, all_rows: bool = False) -> LookedUp | None:
        """Look the words of a query up in the names; None where names do not take part.

        Raises:
            OptionError: only names shall answer, and there are none, or no words.
        """
        added = [term for term in query.terms if not term.weight < 0]
        only = self.names == "only"
        words = [term.value for term in added if term.kind == "text"]
        if self.names == "off" or (not only and len(words) < len(added)) or not (words or only):
            return None
        if not words:
            raise OptionError('`names="only"` looks words up, and the query has none; give words')
        from retrieval.names import asked_words, has_fts5

        asked = asked_words(" ".join(words))
        allowed = self.opened.is_live if self.keep is None else self._is_kept
        looked = self.opened.names.look_up(asked, allowed=allowed, all_rows=all_rows or only)
        if looked is None and only and asked:
            raise OptionError(
                f"{self.opened.directory}: has no index of names, which earlier versions did not write; run `build_index`"
                if has_fts5()
                else "names cannot be looked up: this Python's SQLite was built without FTS5; use another Python"
            )
        return looked

    def _is_kept(self, ids: Ids) -> Any:
        return self.opened.is_live(ids) & self.keep.holds(ids)  # type: ignore[union-attr]  # there is one


def _held(looked: LookedUp | None) -> frozenset[str]:
    """Return the words of a query that names have, in lower case: these are right as they are, whatever an encoder makes of them."""
    if looked is None:
        return frozenset()
    return frozenset(
        word.text.lower() for word, there in zip(looked.words, looked.held, strict=True) if there
    )


def _nowhere(unknown: Sequence[str], looked: LookedUp) -> tuple[str, ...]:
    """Return those of some words that no name has either."""
    from retrieval.names import asked_words

    held = {word.ways for word, there in zip(looked.words, looked.held, strict=True) if there}
    return tuple(one for one in unknown if not {word.ways for word in asked_words(one)} & held)


def _each(found: Blend) -> Iterator[Blend]:
    """Yield what was found for each query."""
    for number in range(len(found.ids)):
        part = slice(number, number + 1)
        yield Blend(
            ids=found.ids[part],
            scores=found.scores[part],
            cosines=found.cosines[part],
            renewed=found.renewed[part],
            views=None if found.views is None else found.views[part],
        )


def _is_cosine(value: Any) -> bool:
    """Say whether a value can be compared with cosines: a number, and not NaN."""
    try:
        return hasattr(value, "__float__") and not math.isnan(value)
    except TypeError:  # an array of several
        return False

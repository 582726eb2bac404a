"""Look up the words of a query: which rows have which of them, and how much that says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.names.name_index import COMMON, NameIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Ids
    from retrieval.names.words import AskedWord

_LEAST: Final = 1_000
"""Rows that a collection counts as, for how rare a word is in it."""

_FEW: Final = 20_000
"""Rows of the rarest of several common words up to which their rows in common are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """What the names say to a query.

    Attributes:
        words: the different words of the query.
        rarity: ``(w,)`` of each: 1 where one row or none has it, 0 where all have it.
        held: ``(w,)`` flags: at least one row has it.
        ids: ``(n,)`` ascending ids of the rows that were found by their names.
        has: ``(n, w)`` flags: which words each of them has.
        common: ``(w,)`` flags: so many rows have it that not all of these are among `ids`.
        counts: ``(w,)`` how many rows have it, roughly where it is common.
    """

    words: Sequence[AskedWord]
    rarity: NDArray[np.float64]
    held: NDArray[np.bool_]
    ids: Ids
    has: NDArray[np.bool_]
    common: NDArray[np.bool_]
    counts: NDArray[np.int64]

    @property
    def has_common(self) -> bool:
        """Say whether rows that are not among `ids` may have words of the query."""
        return bool((self.common & self.held).any())

    def gains(self, has: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how much it says that rows have words, 0 to 1: how much of the query they cover, and how rare that is.

        Several words that a row has together are rarer than each: the rarity's root by their number is taken.

        Args:
            has: ``(n, w)`` flags.
        """
        whole = float(self.rarity.sum())
        if not whole:
            return np.zeros(len(has))
        found = has @ self.rarity  # (n,)
        number = np.maximum(has.sum(axis=1), 1)  # (n,)
        gains: NDArray[np.float64] = (found / whole) ** 2 * (found / number) ** (1 / number)
        return gains

    def among(self, shown: NDArray[np.bool_]) -> LookedUp:
        """Return the same of some of the rows that were found, by flags ``(n,)``."""
        return replace(self, ids=self.ids[shown], has=self.has[shown])

    def words_of(self, texts: Iterable[set[str]]) -> NDArray[np.bool_]:
        """Return which words of the query the words of some rows are, ``(n, w)``."""
        flags = [[any(text.issuperset(way) for way in word.ways) for word in self.words] for text in texts]
        return np.array(flags, dtype=np.bool_).reshape(-1, len(self.words))


def look_up(
    words: Sequence[AskedWord],
    indexes: Sequence[tuple[int, NameIndex]],
    *,
    rows: int,
    allowed: Callable[[Ids], Any],
    named_by: Callable[[Ids], Iterable[set[str]]],
    doubtful: Callable[[Ids], NDArray[np.bool_]],
    all_rows: bool = False,
) -> LookedUp:
    """Find the rows that have words of a query in their names.

    Args:
        words: of the query.
        indexes: of the names, each with the id of its first row.
        rows: how many live rows there are.
        allowed: says of each of some ids whether the row is live and may be found.
        named_by: returns the words of some rows, as they are now.
        doubtful: says of which rows the indexes may tell what they were called before.
        all_rows: look at all rows of common words, too.
    """
    found = [_rows_of(word, indexes, all_rows=all_rows) for word in words]
    common = np.array([ids is None for ids, _ in found], dtype=np.bool_)  # (w,)
    counts = np.array([count for _, count in found], dtype=np.int64)  # (w,)
    rarity = np.array([_rarity(int(count), rows) for count in counts])  # (w,)
    named = [ids for ids, _ in found if ids is not None and len(ids)]
    ids = np.unique(np.concatenate(named)) if named else np.empty(0, dtype=np.int64)  # (n,)
    ids = ids[allowed(ids)]
    has = np.zeros((len(ids), len(words)), dtype=np.bool_)  # (n, w)
    for number, (own, _) in enumerate(found):
        if own is not None and len(own):
            has[:, number] = np.isin(ids, own, assume_unique=True)
    if len(ids) and common.any():
        rare = [
            way for word, (own, _) in zip(words, found, strict=True) if own is not None for way in word.ways
        ]
        for number in np.flatnonzero(common).tolist():
            for way in words[number].ways:
                both = _joined(indexes, partial(NameIndex.rows_with_any, groups=rare, and_all=way))
                has[:, number] |= np.isin(ids, both, assume_unique=True)
    looked = LookedUp(
        words=words, rarity=rarity, held=counts > 0, ids=ids, has=has, common=common, counts=counts
    )
    doubts = np.flatnonzero(doubtful(ids))
    if not len(doubts):
        return looked
    has[doubts] = looked.words_of(named_by(ids[doubts]))
    still = has.any(axis=1)
    return replace(looked, ids=ids[still], has=has[still])


def joined(found: Sequence[LookedUp], *, firsts: Sequence[int], rows: int) -> LookedUp:
    """Return what the names of several collections say to one query.

    Args:
        found: in each.
        firsts: what is added to the ids of each; ascending.
        rows: how many live rows all of them have.
    """
    counts = np.sum([one.counts for one in found], axis=0)  # (w,)
    return LookedUp(
        words=found[0].words,
        rarity=np.array([_rarity(int(count), rows) for count in counts]),
        held=counts > 0,
        ids=np.concatenate([one.ids + first for one, first in zip(found, firsts, strict=True)]),
        has=np.concatenate([one.has for one in found]),
        common=np.any([one.common for one in found], axis=0),
        counts=counts,
    )


def _rows_of(
    word: AskedWord, indexes: Sequence[tuple[int, NameIndex]], *, all_rows: bool
) -> tuple[Ids | None, int]:
    """Return the rows that have a word, None if it is common; and how many these are, roughly if it is common."""
    parts, count = [], 0
    for way in word.ways:
        often = [index.common(way) for _, index in indexes]
        least = sum(number for number in often if number is not None)
        if least > COMMON and not all_rows and (len(way) == 1 or least > _FEW):
            return None, max(least, count)
        limit = None if all_rows else COMMON + 1
        ids = _joined(indexes, partial(NameIndex.rows, words=way, limit=limit))
        count = max(count, len(ids))
        if len(ids) > COMMON and not all_rows:
            return None, max(least, count)
        parts.append(ids)
    ids = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
    return ids, len(ids)


def _joined(indexes: Sequence[tuple[int, NameIndex]], rows: Callable[[NameIndex], Ids]) -> Ids:
    found = [rows(index) + first for first, index in indexes]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _rarity(count: int, rows: int) -> float:
    """Return how rare a word is that so many of all rows have; in a small collection a folder is a large part of all."""
    whole = max(rows, _LEAST)
    share = min(count / max(rows, 1), 1.0)
    return (1 - share) * math.log(whole / min(max(count, 1), whole)) / math.log(whole)

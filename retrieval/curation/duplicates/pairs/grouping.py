"""Group rows into sets around the one that stays; each member was compared with that one, so likeness is not chained."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from retrieval.curation.duplicates.judgements import common_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Ids
    from retrieval.curation.duplicates.judgements import Judgement

Compare: TypeAlias = Callable[[list[int], int], "list[Judgement]"]
"""Says what each of some rows is to another one."""

MOST_FAILURES: Final = 50
"""Rows that may fail against one that stays, beside two for each that did not, before the rest of a dense group is left to others."""

AT_ONCE: Final = 8
"""Rows that are compared at a time."""

_PROMOTIONS: Final = 4
_WHOLE: Final = 0.6
_COMMON: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Star:
    """A set: the row that stays, and what each other row is to it."""

    stays: int
    members: dict[int, Judgement] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Grouped:
    """What `stars` found.

    Attributes:
        sets: those of more than one row.
        cut: rows that were not compared with one that stays, because too many beside them failed.
    """

    sets: list[Star]
    cut: int = 0


def stars(
    pairs: NDArray[np.int64],
    *,
    order: NDArray[np.int64],
    compare: Compare,
    accepts: frozenset[str],
    shows_more: Callable[[int, int, Judgement], bool] | None = None,
) -> Grouped:
    """Group rows that pairs propose.

    The first row in order that no set has is compared with those that pairs name beside it; those that are accepted bring
    the rows beside them, which are compared with the same first row. So each row is in one set at most, and the work grows
    as the rows, however dense a group is.

    Args:
        pairs: ``(p, 2)`` rows that may be alike.
        order: ``(rows,)`` place of each row; the first one stays.
        compare: says what rows are to another one.
        accepts: relations that make a set.
        shows_more: says whether a member should stay in place of the row that it was compared with: that is a part of it.
    """
    grouping = _Grouping(pairs, order, compare, accepts)
    for row in grouping.rows():
        if row not in grouping.free:
            continue
        star = grouping.star(row)
        for _ in range(0 if shows_more is None else _PROMOTIONS):
            whole = [
                member
                for member, found in star.members.items()
                if shows_more is not None and shows_more(member, star.stays, found)
            ]
            if not whole:
                break
            star = grouping.star(min(whole, key=order.__getitem__))
        grouping.close(star)
        if row in grouping.free:  # it looked like a part of another picture, which a closer look denied
            grouping.close(grouping.star(row))
    return grouping.grouped


class _Grouping:
    """A grouping under way."""

    def __init__(
        self, pairs: NDArray[np.int64], order: NDArray[np.int64], compare: Compare, accepts: frozenset[str]
    ) -> None:
        both = np.concatenate([pairs, pairs[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        self._targets: Ids = both[:, 1]
        self._starts = np.searchsorted(both[:, 0], np.arange(len(order) + 1))
        self._named: Ids = np.unique(pairs)
        self._order, self._compare, self._accepts = order, compare, accepts
        self.free: set[int] = set(self._named.tolist())
        self.grouped = Grouped(sets=[])

    def rows(self) -> Iterator[int]:
        """Yield the rows that pairs name, in order."""
        yield from self._named[np.argsort(self._order[self._named], kind="stable")].tolist()

    def star(self, stays: int) -> Star:
        """Compare one row with those that pairs lead to."""
        star = Star(stays=stays)
        waiting: list[tuple[int, int]] = []
        seen = {stays}
        self._wait(waiting, seen, stays)
        failures = 0
        while waiting:
            rows = [heapq.heappop(waiting)[1] for _ in range(min(AT_ONCE, len(waiting)))]
            for row, found in zip(rows, self._compare(rows, stays), strict=True):
                if found.relation in self._accepts:
                    star.members[row] = found
                    self._wait(waiting, seen, row)
                else:
                    failures += 1
            if failures > MOST_FAILURES + 2 * len(star.members):
                self.grouped.cut += len(waiting)
                break
        return star

    def _wait(self, waiting: list[tuple[int, int]], seen: set[int], row: int) -> None:
        """Add the rows beside one that were not seen yet."""
        for other in self._targets[self._starts[row] : self._starts[row + 1]].tolist():
            if other in self.free and other not in seen:
                seen.add(other)
                heapq.heappush(waiting, (int(self._order[other]), other))

    def close(self, star: Star) -> None:
        """Take the rows of a set away from those that are free."""
        self.free.discard(star.stays)
        self.free.difference_update(star.members)
        if star.members:
            self.grouped.sets.append(star)


def unlike_parts(star: Star, covered: Callable[[Judgement], float]) -> Iterator[Star]:
    """Split a set whose members are different parts of the row that stays, such as the pictures of a collage.

    Args:
        star: the set.
        covered: says how much of the row that stays a member covers.
    """
    whole: dict[int, Judgement] = {}
    parts: list[dict[int, Judgement]] = []
    for row, found in star.members.items():
        if found.outline is None or covered(found) >= _WHOLE:
            whole[row] = found
            continue
        outline = found.outline
        for part in parts:
            first = next(iter(part.values())).outline
            if first is not None and common_share(outline, first) > _COMMON:
                part[row] = found
                break
        else:
            parts.append({row: found})
    if len(parts) < 2:
        yield star
        return
    if whole:
        yield Star(stays=star.stays, members=whole)
    for part in parts:
        yield Star(stays=star.stays, members=part)

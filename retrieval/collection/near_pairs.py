"""Find all pairs of a collection's rows that lie near each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.errors import value_text
from indexes.vectors import Ids, integer
from retrieval.collection.queries import row_numbers
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexes.join import Pairs, SelfJoin
    from retrieval.collection.collection import Collection
    from retrieval.collection.queries import RowNames

MOST = 10_000
"""Partners that a row may name: a block of rows keeps those of each in memory."""


def near_pairs(
    collection: Collection, threshold: float, *, at_most: int, since: RowNames | None, first_block: int
) -> Iterator[Pairs]:
    """Return the blocks of what `Collection.pairs` promises; what is wrong with the arguments is said at once."""
    least = _cosine(threshold)
    at_most = integer(at_most, "at_most", most=MOST)
    first_block = integer(first_block, "first_block", least=0)
    with collection._using() as opened:  # noqa: SLF001 - a part of it
        opened.require_settled("the vectors are of two spaces, so pairs of rows cannot be compared")
        asked: Ids | None = None
        if since is not None:
            numbers = np.unique(row_numbers(opened, since, root=collection.root))
            asked = numbers[opened.is_live(numbers)]
        join = opened.generation.self_join(least, at_most=at_most, asked=asked)
    return _blocks(collection, join, first_block)


def _blocks(collection: Collection, join: SelfJoin, first: int) -> Iterator[Pairs]:
    for block in range(first, join.blocks):
        # Between blocks the collection may be closed, which is an error then: nobody waits for whoever stopped listening.
        with collection._using():  # noqa: SLF001
            found = join.pairs(block)
        yield found


def _cosine(threshold: Any) -> float:
    """Return a threshold, checked.

    Raises:
        OptionError: it is no number from -1 to 1.
    """
    try:
        if isinstance(threshold, bool | np.bool_ | str | bytes):
            raise TypeError
        least = float(threshold)
        if not -1 <= least <= 1 or math.isnan(least):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"threshold is {value_text(threshold, 40)}; it is the least cosine of a pair, a number from -1 to 1"
        ) from error
    return least

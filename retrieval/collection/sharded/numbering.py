"""Number the rows of all shards: a row's id is its shard's number times 2**32, plus its id in the shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexes.generation import SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexes.vectors import Ids

__all__ = ["first_of", "local", "shard_of", "split"]

_WITHIN = (1 << SHIFT) - 1


def first_of(shard: int) -> int:
    """Return the id of a shard's first row."""
    return shard << SHIFT


def shard_of(number: int) -> int:
    """Return the shard of a row."""
    return number >> SHIFT


def local(ids: Ids) -> Ids:
    """Return the ids of rows within their shards; -1 stays."""
    return np.where(ids < 0, -1, ids & _WITHIN)


def split(ids: Ids) -> Iterator[tuple[int, Ids, Ids]]:
    """Yield of each shard that has some of the rows ``(m,)``: its number, where they stand, and their ids within it."""
    numbers = ids >> SHIFT
    for number in np.unique(numbers).tolist():
        places = np.flatnonzero(numbers == number)
        yield number, places, ids[places] & _WITHIN

"""Number the rows of all shards: a row's id is its shard's number times 2**32, plus its id in the shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.generation import SHIFT
from retrieval.errors import MissingRow, OptionError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from indexes.vectors import Ids

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


def of_places(places: Ids, counts: Mapping[int, int]) -> Ids:
    """Return the ids of rows ``(m,)`` that are counted through all shards.

    Args:
        places: from 0 on.
        counts: of rows, by the shards' numbers, in their order.
    """
    ends = np.cumsum(list(counts.values()), dtype=np.int64)  # (s,)
    shard = np.searchsorted(ends, places, side="right")  # (m,)
    starts = np.concatenate(([0], ends[:-1]))
    firsts = np.array([first_of(number) for number in counts], dtype=np.int64)
    ids: Ids = firsts[shard] + places - starts[shard]
    return ids


def to_places(ids: Ids, counts: Mapping[int, int]) -> Ids:
    """Return where rows ``(m,)`` stand when they are counted through all shards: what `of_places` takes."""
    ends = np.cumsum(list(counts.values()), dtype=np.int64)  # (s,)
    starts = np.zeros(max(counts, default=0) + 1, dtype=np.int64)
    starts[list(counts)] = np.concatenate(([0], ends[:-1]))
    places: Ids = starts[ids >> SHIFT] + (ids & _WITHIN)
    return places


def checked_ids(ids: Any, counts: Mapping[int, int], *, where: object) -> Ids:
    """Return row ids as `indexes.vectors.row_ids` does; flags are of one shard after the other.

    Args:
        ids: what callers give.
        counts: of rows, by the shards' numbers, in their order.
        where: the collection, for messages.
    Raises:
        MissingRow: no shard has such a row.
        OptionError: floats, texts, or whatever else is no id.
        ShapeError: flags of another length, or more than one axis.
    """
    found = np.asarray(ids)
    if found.ndim == 0:
        found = found[np.newaxis]
    if found.ndim != 1:
        raise ShapeError(f"row ids: expected one axis, got shape {found.shape}")
    if found.dtype == np.bool_:
        count = sum(counts.values())
        if found.shape != (count,):
            raise ShapeError(
                f"flags of rows: expected one for each of the {count:,} rows, got {len(found):,}"
            )
        return of_places(np.flatnonzero(found), counts)
    if found.dtype.kind not in "iu" and len(found):
        raise OptionError(f"row ids must be integers, got {found.dtype}")
    numbers = found.astype(np.int64)
    known = np.zeros(max(counts, default=0) + 2, dtype=np.int64)  # the last one of no shard
    known[list(counts)] = list(counts.values())
    shards = np.where(numbers < 0, len(known) - 1, np.minimum(numbers >> SHIFT, len(known) - 1))
    missing = numbers[(numbers & _WITHIN) >= known[shards]]
    if len(missing):
        raise MissingRow(f"{where}: no row {missing[0]}; ids are a shard's number times 2**32, plus a row's")
    return numbers

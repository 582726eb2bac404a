"""Give the units of a source to shards, once: tars, tables, top folders, or runs of keys where a unit is too large.

A unit is what stands before the first ``/`` of a key, or before the ``#`` of a table's row. All keys without either are one unit.
"""

from __future__ import annotations

import bisect
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SAMPLE = 8192  # keys that are held of a unit, to cut it by


def unit_of(key: bytes) -> str:
    """Return the unit that a key belongs to; empty for the one of all keys that name no folder and no file."""
    head, slash, _ = key.partition(b"/")
    if not slash:
        head, mark, _ = key.partition(b"#")
        if not mark:
            return ""
    return os.fsdecode(head)


@dataclass(slots=True)
class Ranges:
    """Which shard each key belongs to; it pickles.

    Attributes:
        bounds: of each unit, ascending: keys from which on it belongs to another shard, and these shards.
    """

    bounds: dict[str, tuple[list[bytes], list[int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, shards: Mapping[int, Iterable[tuple[str, str]]]) -> Ranges:
        """Put together what `shards.json` says of each shard by its number."""
        found: dict[str, list[tuple[bytes, int]]] = {}
        for shard, units in shards.items():
            for name, first in units:
                found.setdefault(name, []).append((os.fsencode(first), shard))
        ranges = cls()
        for name, pairs in found.items():
            pairs.sort()
            ranges.bounds[name] = [first for first, _ in pairs], [shard for _, shard in pairs]
        return ranges

    def units(self) -> dict[int, tuple[tuple[str, str], ...]]:
        """Return the units of each shard, as `shards.json` says them."""
        found: dict[int, list[tuple[str, str]]] = {}
        for name, (firsts, shards) in self.bounds.items():
            for first, shard in zip(firsts, shards, strict=True):
                found.setdefault(shard, []).append((name, os.fsdecode(first)))
        return {shard: tuple(sorted(units)) for shard, units in found.items()}

    def shard_of(self, key: bytes) -> int | None:
        """Return the shard of a key; None if its unit is new."""
        found = self.bounds.get(unit_of(key))
        if found is None:
            return None
        firsts, shards = found
        return shards[max(bisect.bisect_right(firsts, key) - 1, 0)]

    def below(self, prefix: bytes) -> set[int]:
        """Return the shards that may have keys which begin so: with ``/`` or ``#`` at its end, or a whole key; none if the unit is new."""
        found = self.bounds.get(unit_of(prefix))
        if found is None:
            return set()
        firsts, shards = found
        low = max(bisect.bisect_right(firsts, prefix) - 1, 0)
        high = low + 1
        while high < len(firsts) and firsts[high].startswith(prefix):
            high += 1
        return set(shards[low:high])

    def give(self, unit: str, first: bytes, shard: int) -> None:
        """Give the keys of a unit from one on to a shard."""
        firsts, shards = self.bounds.setdefault(unit, ([], []))
        place = bisect.bisect_left(firsts, first)
        firsts.insert(place, first)
        shards.insert(place, shard)


@dataclass(slots=True)
class UnitCounts:
    """How many entries each unit of a listing has, with a sample of its keys.

    Attributes:
        counts: by unit.
        known: entries of each shard whose units have one already.
    """

    counts: dict[str, int] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)
    _keys: dict[str, tuple[int, list[bytes]]] = field(default_factory=dict)

    def add(self, key: bytes, ranges: Ranges) -> None:
        """Count one entry."""
        shard = ranges.shard_of(key)
        if shard is not None:
            self.known[shard] = self.known.get(shard, 0) + 1
            return
        unit = unit_of(key)
        count = self.counts[unit] = self.counts.get(unit, 0) + 1
        step, keys = self._keys.setdefault(unit, (1, []))
        if count % step == 0:
            keys.append(key)
            if len(keys) > _SAMPLE:  # every second one stays: the sample is spread over all that was seen
                self._keys[unit] = 2 * step, keys[1::2]

    def cuts(self, unit: str, parts: int) -> list[bytes]:
        """Return the keys from which on a unit is cut into so many parts of about one size; fewer if it has too few keys."""
        keys = sorted(set(self._keys[unit][1]))
        places = [len(keys) * part // parts for part in range(1, parts)]
        return sorted({keys[place] for place in places if 0 < place < len(keys)})


def assign(ranges: Ranges, counts: UnitCounts, *, shards: int, shard_rows: int, is_first: bool) -> int:
    """Give new units to shards, and return how many shards there are then.

    The first build spreads them over all shards, of about one size each. Later ones go to the last shard until it has enough
    rows; then another begins. A unit that is larger than a shard is cut by ranges of its keys.

    Args:
        ranges: what is given already; changed in place.
        counts: of a listing.
        shards: there are, or are asked for.
        shard_rows: rows from which on another shard begins.
        is_first: nothing was built yet.
    """
    total = sum(counts.counts.values())
    most = max(1, min(-(-total // shards), shard_rows) if is_first else shard_rows)
    pieces = [piece for unit in counts.counts for piece in _pieces(unit, counts, most)]
    if not is_first:
        return _append(ranges, sorted(pieces, key=lambda piece: piece[1:]), counts, shards, shard_rows)
    loads = [0] * shards
    for size, unit, first in sorted(pieces, key=lambda piece: (-piece[0], piece[1:])):
        shard = loads.index(min(loads))
        if loads[shard] + size > shard_rows and loads[shard]:
            loads.append(0)
            shard = len(loads) - 1
        loads[shard] += size
        ranges.give(unit, first, shard)
    return len(loads)


def _append(
    ranges: Ranges, pieces: Sequence[tuple[int, str, bytes]], counts: UnitCounts, shards: int, shard_rows: int
) -> int:
    """Give pieces to the last shard, and begin others when it is full."""
    load = counts.known.get(shards - 1, 0)
    for size, unit, first in pieces:
        if load and load + size > shard_rows:
            shards, load = shards + 1, 0
        load += size
        ranges.give(unit, first, shards - 1)
    return shards


def _pieces(unit: str, counts: UnitCounts, most: int) -> list[tuple[int, str, bytes]]:
    """Return a unit as one piece, or cut into several: the size, the unit and the first key of each."""
    size = counts.counts[unit]
    parts = -(-size // most)
    if parts < 2:
        return [(size, unit, b"")]
    firsts = [b"", *counts.cuts(unit, parts)]
    return [(size // len(firsts), unit, first) for first in firsts]

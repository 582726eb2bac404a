"""List the source of a sharded collection once for all shards, give its new units to them, and keep that before any shard is built."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrieval.collection.sharded.rows import SHARD_ROWS
from retrieval.errors import OptionError, SourceIncomplete
from retrieval.ingestion import WholeListing
from retrieval.ingestion.sharded.build_ledger import write_ledger
from retrieval.ingestion.sharded.hand_keys import HandKeys
from retrieval.ingestion.sharded.kept_rows import KeptRows
from retrieval.ingestion.sharded.units import Ranges, UnitCounts, assign
from retrieval.progress import Progress
from retrieval.sources import RememberingSource, Seen, Skipped, memory_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Shards, Source
    from retrieval.ingestion.sharded.build_ledger import Begun
    from retrieval.progress import OnProgress
    from retrieval.sources import Source as Images


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSource:
    """What a listing of the source tells before any shard is built.

    Attributes:
        ranges: which keys are whose.
        count: of shards.
        left_out: how many system folders were left out, by name.
        whole: which rows of all shards it still names.
    """

    ranges: Ranges
    count: int
    left_out: Mapping[str, int]
    whole: WholeListing


def list_source(
    source: Images,
    recorded: Source,
    directory: Path,
    before: Shards | None,
    begun: Begun,
    shards: int | None,
    shard_rows: int | None,
    watch: OnProgress | None,
    *,
    prune: bool,
) -> ListedSource:
    """List the source, give new units to shards, and keep that before any shard is built.

    Args:
        source: to list.
        recorded: as the collection records it.
        directory: of the whole.
        before: what is published; None for nothing.
        begun: of this build; its units are those of one that was killed.
        shards, shard_rows: as `retrieval.build_index` takes them.
        watch: called now and then.
        prune: rows may go unasked, so nobody needs to know how many stay.
    """
    known = {} if before is None else {shard.number: shard.units for shard in before.shards}
    known |= begun.units
    ranges = Ranges.of(known)
    counts, by_hand, seen = UnitCounts(), HandKeys(directory, before, prune=prune), Seen()
    is_whole = False
    kept = None if before is None or prune else KeptRows(directory, before, recorded.number)
    if isinstance(source, RememberingSource):
        source.memory = memory_of(directory, recorded.number)
    with suppress(
        SourceIncomplete
    ):  # each shard's build says so; what was not listed is given to a shard later
        for number, entry in enumerate(source.entries(seen), start=1):
            if not isinstance(entry, Skipped):
                by_hand.refuse(entry.key, recorded, source.name)
                counts.add(entry.key, ranges)
                if kept is not None:
                    kept.add(entry)
            if watch is not None and number % 1000 == 0:
                watch(Progress(phase="scan", done=number, total=None))
        is_whole = True
    total = sum(counts.counts.values()) + sum(counts.known.values())
    wanted = len(known) or shards or 1
    if not known and total < wanted:
        images = "1 image" if total == 1 else f"{total:,} images"
        cure = f"give `shards={total}` at most, or leave `shards` out" if total else "give images first"
        raise OptionError(f"{source.name} has {images}, too few for {wanted} shards; {cure}")
    limit = shard_rows or (SHARD_ROWS if before is None else before.shard_rows)
    if before is not None:  # rows by hand take place, too
        last = before.shards[-1]
        counts.known[last.number] = max(counts.known.get(last.number, 0), last.manifest.live)
    count = assign(ranges, counts, shards=wanted, shard_rows=limit, is_first=not known)
    units = ranges.units()
    write_ledger(directory, replace(begun, units={number: units.get(number, ()) for number in range(count)}))
    return ListedSource(
        ranges=ranges,
        count=count,
        left_out=seen.left_out,
        whole=_whole(kept, by_hand.count, total, is_whole=is_whole),
    )


def _whole(kept: KeptRows | None, by_hand: int, images: int, *, is_whole: bool) -> WholeListing:
    """Return what the listing says of the rows of all shards, ``by_hand`` of which no source lists."""
    rows, stay = (0, 0) if kept is None else kept.counted(by_hand=by_hand)
    return WholeListing(rows=rows, stay=stay if is_whole else None, images=images)

"""Choose how a collection gets to a new encoder, and say what each way costs and gives."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from retrieval.errors import StoreFull
from retrieval.upgrades.trial import CLEARLY, EXTENDING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from retrieval.collection import Fitted
    from retrieval.upgrades.trial import Measured, Sample

Plan: TypeAlias = Literal["map", "reencode", "none"]

REENCODE: Final = "reencode"
"""The way without a map: the old encoder answers until every image is encoded again."""

UNMEASURED: Final = "none"
"""What an upgrade was measured by where there were too few images."""

AGAIN: Final = 0.9
"""Share of images that a map has to find again.

Of seven pairs of encoders those whose map finds fewer kept 0.4 to 0.85 of the crops that the old encoder finds, the other all.
"""

_SURER = 0.1  # of the images that both encoders have to find more than the map alone
_RECORD = 400  # bytes that a store takes for a row besides its vector
_CODE = 64  # bytes that their index takes for a row besides 2 bits a dimension, at most
_COPIES = 2  # rows lie in a staging store until the new store is whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What encoding the gallery again takes; it is the same whichever way leads there.

    Attributes:
        images: to encode.
        images_per_second: as measured on the sample; None where too few of it could be read.
        seconds: at that rate; 0 where no image is left.
        bytes: that the new rows take on the disk until `finish_upgrade` frees the old ones, at most.
        bytes_free: on the collection's disk.
    """

    images: int
    images_per_second: float | None
    seconds: float | None
    bytes: int
    bytes_free: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)


def costs_of(directory: Path, manifest: Manifest, taken: Sample, *, dim: int) -> Costs:
    """Say what it takes to encode all images again that the sample did not.

    Args:
        directory: the collection's.
        manifest: its present one.
        taken: the sample.
        dim: width of the new rows.
    """
    images = max(0, manifest.live - len(taken.ids))
    rate = taken.images_per_second
    # A store holds a row twice: in LMDB, and in the mapped file that reranks.
    return Costs(
        images=images,
        images_per_second=None if rate is None else round(rate, 3),
        seconds=0.0 if not images else None if rate is None else round(images / rate, 3),
        bytes=_COPIES * manifest.live * (2 * 2 * dim + _RECORD) + manifest.live * (dim // 4 + _CODE),
        bytes_free=shutil.disk_usage(directory).free,
    )


def require_space(costs: Costs, directory: Path) -> None:
    """Refuse an upgrade that would fill the disk.

    Raises:
        StoreFull: it needs more than is free.
    """
    if costs.bytes > costs.bytes_free:
        raise StoreFull(
            f"{directory}: the new vectors take up to {costs.bytes / 2**20:,.0f} MiB until the old ones are given up, and "
            f"{costs.bytes_free / 2**20:,.0f} MiB are free; make room. Nothing was changed"
        )


def ways_of(
    best: Measured | None, costs: Costs, *, alone: tuple[float, float] | None
) -> list[dict[str, Any]]:
    """Return the ways that lead to the new encoder: the best compatible map, and encoding again behind the old encoder.

    Args:
        best: the map that is recorded, else the best compatible one; None without one.
        costs: of encoding the gallery again.
        alone: what the old and the new encoder find without a map, of all images that can ask; None where they are too few to measure.
    Returns:
        objects with ``plan``, ``method``, ``now`` and ``end`` (quality, None where nothing was measured), ``seconds``, ``bytes``,
        ``map_microseconds``. Quality now with a map is what the old encoder finds alone, and what the map wins over it on the
        held-out queries.
    """
    old, new = alone or (None, None)
    found: list[tuple[Plan, str, float | None, float]] = []
    if best is not None and old is not None:
        won = best.new_old - best.old_old
        found.append(("map", best.method, old + won, best.map_microseconds))
    found.append((REENCODE, REENCODE, old, 0.0))
    return [
        {
            "plan": plan,
            "method": method,
            "now": None if now is None else round(min(now, 1.0), 6),
            "end": None if new is None else round(new, 6),
            "seconds": costs.seconds,
            "bytes": costs.bytes,
            "map_microseconds": microseconds,
        }
        for plan, method, now, microseconds in found
    ]


def with_sample(
    ways: Sequence[dict[str, Any]], curve: Mapping[str, Any], *, share: float, offset: float
) -> list[dict[str, Any]]:
    """Return the ways again, with what the map gives now that the sample's rows answer as new ones.

    Args:
        ways: what `ways_of` returned.
        curve: of quality over the backfill, see `backfill_curve`.
        share: of the gallery that the sample is.
        offset: by how much the old encoder finds more alone than on the held-out queries.
    """
    now = min(float(np.interp(share, curve["share"], curve["random"])) + offset, 1.0)
    return [way | {"now": round(now, 6)} if way["plan"] == "map" else way for way in ways]


def best_of(candidates: Sequence[tuple[Fitted, Measured]]) -> tuple[Fitted, Measured]:
    """Return what finds most; a dearer way only if it finds clearly more than a cheaper one.

    An encoder trained to extend the old space needs no map, so that one comes first. Where a map alone loses which image is asked for,
    both encoders answer, if they find as much and lose it less.
    """
    extending = [pair for pair in candidates if pair[0].method in EXTENDING]
    if extending:
        return extending[0]
    most = max(result.new_old for _, result in candidates)
    close = [pair for pair in candidates if pair[1].new_old > most - CLEARLY]
    least = min(_cost(way) for way, _ in close)
    best = max((pair for pair in close if _cost(pair[0]) == least), key=lambda pair: pair[1].new_old)
    if best[0].alpha is not None or best[1].finds_itself >= AGAIN:
        return best
    surer = [
        pair
        for pair in close
        if pair[0].alpha is not None and pair[1].finds_itself >= best[1].finds_itself + _SURER
    ]
    return max(surer, key=lambda pair: pair[1].finds_itself, default=best)


def _cost(way: Fitted) -> tuple[bool, int]:
    """Return what orders ways by what a query costs: both encoders are dearer than any map."""
    return way.alpha is not None, way.image.multiplications

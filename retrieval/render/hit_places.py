"""Say when in its film, and where in its picture, a hit is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.render.hit_facts import HitLike


def moment_of(hit: HitLike) -> float | None:
    """Return the seconds since the beginning of its film of a picture; None for anything else."""
    from retrieval.sources.media import seconds_of, split_key

    part = split_key(os.fsencode(hit.path)) if "#" in hit.path else None
    return None if part is None else seconds_of(part[1])


def moment_text(hit: HitLike) -> str:
    """Say when in its film a picture is: ``at 3:12.4``; nothing for anything else."""
    from retrieval.sources.media import clock

    moment = moment_of(hit)
    return "" if moment is None else f"at {clock(moment)}"


def part_text(hit: HitLike) -> str:
    """Say which part of its picture answered: ``part: upper left``; nothing where the whole picture did."""
    if hit.region is None:
        return ""
    left, top, width, height = hit.region
    across = _third(left + width / 2, "left", "right")
    down = _third(top + height / 2, "upper", "lower")
    return f"part: {down} {across or 'middle'}" if down else f"part: {across or 'middle'}"


def _third(center: float, first: str, last: str) -> str:
    return first if center < 1 / 3 else last if center > 2 / 3 else ""

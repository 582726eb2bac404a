"""Define a funnel's stages (prefix width, shortlist size) and check that they are possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from indexes.errors import OptionError
from indexes.vectors import Space

FACTOR = 10
"""Candidates a neighbour wanted, where nothing was tuned."""

TUNED_K = 10
"""Neighbours that plans are measured for; a larger ``k`` takes shortlists as many times as long."""

_WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
_MIDDLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a funnel: rank by a prefix, hand the best on to the next width, the last time to the full one.

    Attributes:
        dim: width of the prefix.
        shortlist: candidates handed on.
        margin: a candidate's score at the next width is taken to exceed its score here by no more than this, so that
            the next step stops once the best it has found are out of reach; None to score the whole shortlist.
    """

    dim: int
    shortlist: int
    margin: float | None = None


Stages: TypeAlias = tuple[Stage, ...]


def prefixes_of(space: Space) -> tuple[int, ...]:
    """Return the prefix widths worth trying: the nested ones, or powers of two where a rotation makes all valid."""
    return tuple(width for width in space.nesting or _WIDTHS if width < space.dim)


def middles_of(space: Space, dim: int) -> tuple[int, ...]:
    """Return the widths that a funnel from ``dim`` may pass on its way to the full one: the next three worth trying."""
    return tuple(width for width in prefixes_of(space) if width > dim)[:_MIDDLES]


def unplanned(dim: int, *, k: int, shortlist: int | None = None) -> Stages:
    """Return the plan for a width that nothing was measured for.

    ``shortlist`` candidates, or else `FACTOR` a neighbour, for ten neighbours at least.
    """
    return (Stage(dim=dim, shortlist=max(k, shortlist or FACTOR * max(k, TUNED_K))),)


def lengthened(shortlist: int, k: int) -> int:
    """Return how long a measured shortlist is for more neighbours than it was measured for."""
    return shortlist if k <= TUNED_K else -(-shortlist * k // TUNED_K)


def for_k(stages: Stages, k: int) -> Stages:
    """Lengthen the shortlists of a measured plan for more neighbours than it was measured for."""
    if k <= TUNED_K:
        return stages
    return tuple(replace(stage, shortlist=lengthened(stage.shortlist, k)) for stage in stages)


def check(stages: Sequence[Stage], *, k: int, space: Space, turned: bool = False) -> None:
    """Refuse a plan that cannot be.

    Args:
        stages: the plan.
        k: neighbours wanted of it.
        space: of the rows.
        turned: a rotation was fitted, so that every width is a prefix.
    Raises:
        OptionError: it has no stage, widths that do not rise to below the full one or are no prefixes, shortlists that
            grow or are shorter than ``k``.
    """
    if not stages:
        raise OptionError("a funnel needs at least one stage: (width, shortlist)")
    widths = [stage.dim for stage in stages]
    shortlists = [stage.shortlist for stage in stages]
    shown = ", ".join(f"({stage.dim}, {stage.shortlist})" for stage in stages)
    for width in widths:
        if not 0 < width < space.dim:
            raise OptionError(f"funnel {shown}: {width} is no width below the full one, {space.dim}")
        if not turned:
            space.prefix(width)
    if any(one >= other for one, other in pairwise(widths)):
        raise OptionError(f"funnel {shown}: the widths must rise from stage to stage")
    if any(one < other for one, other in pairwise(shortlists)):
        raise OptionError(f"funnel {shown}: a shortlist cannot be longer than the one before it")
    if shortlists[-1] < k:
        raise OptionError(
            f"funnel {shown}: the last shortlist, {shortlists[-1]}, is shorter than the {k} neighbours asked for; "
            f"make it at least {k}"
        )


def require_whole(dim: int | None, stages: Stages | None, *, width: int) -> None:
    """Refuse to narrow a search that is to compare every row at full width.

    Args:
        dim: the prefix asked for; None for none.
        stages: the plan asked for; None for none.
        width: the full one.
    Raises:
        OptionError: there is a plan, or a ``dim`` other than the full width.
    """
    if stages is not None or dim not in (None, width):
        narrowed = f"`dim={dim}`" if stages is None else "a plan"
        raise OptionError(
            f"exact search compares every row by all {width} dimensions, {narrowed} ranks them by fewer; leave one of them out"
        )


def from_json(stages: Sequence[tuple[int, int, float | None]]) -> Stages:
    """Return the plan that a manifest records as (width, shortlist, margin)."""
    return tuple(Stage(dim=dim, shortlist=shortlist, margin=margin) for dim, shortlist, margin in stages)


def shown(stages: Sequence[tuple[int, int, float | None]]) -> str:
    """Write measured stages for people: ``shortlists 800 at 32, 200 at 128, stopping early``; empty for none."""
    if not stages:
        return ""
    steps = ", ".join(f"{shortlist} at {dim}" for dim, shortlist, _ in stages)
    early = ", stopping early" if any(margin is not None for _, _, margin in stages) else ""
    return f"shortlist{'s' if len(stages) > 1 else ''} {steps}{early}"

"""Say which prefix widths a search may have, and how long its shortlists are."""

from __future__ import annotations

import math

from indexes.errors import OptionError
from indexes.vectors import Space

FACTOR = 10
"""Candidates a neighbour wanted, where nothing was tuned."""

TUNED_K = 10
"""Neighbours that shortlists are measured for; a larger ``k`` takes shortlists as many times as long."""

_REACH = 0.6

_WIDTHS = (16, 32, 64, 128, 256, 512, 1024)


def prefixes_of(space: Space) -> tuple[int, ...]:
    """Return the prefix widths worth trying: the nested ones, or powers of two where a rotation makes all valid."""
    return tuple(width for width in space.nesting or _WIDTHS if width < space.dim)


def unmeasured(k: int, shortlist: int | None = None) -> int:
    """Return the shortlist for a width that nothing was measured for: `FACTOR` a neighbour, for ten at least."""
    return max(k, shortlist or FACTOR * max(k, TUNED_K))


def lengthened(shortlist: int, k: int) -> int:
    """Return how long a measured shortlist is for more neighbours than it was measured for."""
    return shortlist if k <= TUNED_K else -(-shortlist * k // TUNED_K)


def reaching(nprobe: int, *, k: int, share: float = 1.0, least: int = TUNED_K) -> int:
    """Return how many lists are probed for more neighbours than they were measured for, or among a share of the rows.

    Lists are chosen for ``least`` neighbours at least. The k-th neighbour among a share f of the rows lies about where the k/f-th of all does. Lists for it grow slower: with this
    power, filters of 1 to 50 % kept the recall tuned for at a million rows.
    """
    k = max(k, least)
    if k == TUNED_K and share == 1.0:
        return nprobe
    reach: float = k / TUNED_K / share
    return math.ceil(nprobe * math.pow(reach, _REACH))


def require_prefix(dim: int, space: Space, *, turned: bool) -> None:
    """Refuse a width by which rows cannot be ranked.

    Args:
        dim: the width.
        space: of the rows.
        turned: a rotation was fitted, so that every width is a prefix.
    Raises:
        OptionError: it is no width below the full one, or no prefix.
    """
    if not 1 <= dim <= space.dim:
        raise OptionError(f"`truncate_dim={dim}`: no width of {space.name}; use 1 to {space.dim}")
    if not turned:
        space.prefix(dim)


def require_whole(dim: int | None, *, width: int) -> None:
    """Refuse to narrow a search that is to compare every row at full width.

    Args:
        dim: the prefix asked for; None for none.
        width: the full one.
    Raises:
        OptionError: there is a ``truncate_dim`` other than the full width.
    """
    if dim not in (None, width):
        raise OptionError(
            f"exact search compares every row by all {width} dimensions, `truncate_dim={dim}` ranks them by fewer; leave one of them out"
        )

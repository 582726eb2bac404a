"""Compare the rows of several cells at once, where only few rows need each: calls of numpy would take most of the time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from indexes.join.cells import Cells
from indexes.join.partners import Partners
from indexes.join.wide_rows import lengths, wide
from indexes.vectors import Halves, Ids

_SMALL = 1 << 14  # scores of a cell's rows with those that need it, up to which it is compared with others
_TOGETHER = 1 << 17  # scores of cells that are compared together
_MEMBERS = 1024  # rows of such cells: as floats they stay in the cache


def stretches(cells: Cells, group: Callable[[int], Ids]) -> list[list[int]]:
    """Return the cells that any row needs, in their order, those together whose tiles are small.

    Args:
        cells: the rows by cells.
        group: gives the places of those rows that need a cell.
    """
    found: list[list[int]] = []
    members = scores = 0
    together = False
    for cell, size in enumerate(cells.sizes.tolist()):
        tile = size * len(group(cell))
        if not tile:
            continue
        fits = members + size <= _MEMBERS and scores + tile <= _TOGETHER
        if together and tile <= _SMALL and fits:
            found[-1].append(cell)
            members, scores = members + size, scores + tile
        else:
            found.append([cell])
            members, scores, together = size, tile, tile <= _SMALL
    return found


def compare_together(
    rows: Halves, cells: Cells, stretch: list[int], *, asked: Ids, group: Callable[[int], Ids], kept: Partners
) -> None:
    """Compare the rows of some cells with those that need each.

    Args:
        rows: ``(n, d)`` float16.
        cells: the rows by cells.
        stretch: numbers of cells.
        asked: ``(b,)`` the rows of the block.
        group: gives the places in ``asked`` of those rows that need a cell.
        kept: is given what may count.
    """
    groups = [group(cell) for cell in stretch]
    heights = cells.sizes[stretch]  # (c,)
    widths = np.array([len(some) for some in groups])
    members, whose = np.concatenate([cells.members(cell) for cell in stretch]), np.concatenate(groups)
    floats, queries = wide(rows, members), wide(rows, asked[whose])
    first_member, first_query = np.cumsum(heights) - heights, np.cumsum(widths) - widths
    ends = np.cumsum(heights * widths)
    starts = ends - heights * widths
    scores = np.empty(int(ends[-1]), dtype=np.float32)  # cell by cell, each (members, rows that need it)
    for place, (height, width, start) in enumerate(
        zip(heights.tolist(), widths.tolist(), starts.tolist(), strict=True)
    ):
        query, member = first_query[place], first_member[place]
        tile = scores[start : start + height * width].reshape(height, width)
        np.matmul(floats[member : member + height], queries[query : query + width].T, out=tile)
    # Stored rows have length 1 to about 1e-4 only.
    scores /= np.repeat(np.maximum(lengths(floats), 1e-12), np.repeat(widths, heights))
    hits = np.flatnonzero(scores >= kept.lowest)
    cell = np.searchsorted(ends, hits, side="right")
    member, query = np.divmod(hits - starts[cell], widths[cell])
    kept.take_pairs(whose[first_query[cell] + query], members[first_member[cell] + member], scores[hits])

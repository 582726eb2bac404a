"""Measure how far the grey levels of one picture follow from those of another that lies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.opencv import opencv

LEVELS: Final = (
    "levels within 2", "levels within 5", "levels within 10", "levels off", "off where tiles agree",
    "tenth off where tiles agree", "off of what is shown", "quarter off of what is shown", "off of contrast",
    "quarter off of contrast", "least off", "all within 2", "all within 5", "least tenth off", "off over areas",
    "off over areas of off", "off as neighbours", "all within 2, worse", "off, worse", "off over areas, worse",
    "cells that show something", "turned tiles", "flat cells", "cells off", "flat cells of those off", "off at edges", "off of all",
)  # fmt: skip
"""What `levels_followed` returns, in order."""

_CELL: Final = 4  # pixels of a cell's side
_INSIDE: Final = 0.9  # share of a cell that lies in the overlap
_SHOWS: Final = 3.0  # grey levels: the deviation from which a cell shows something
_FLAT: Final = (
    0.8  # grey levels: the deviation below which a cell is flat, as what was drawn over a picture is
)
_FEWEST: Final = 12  # cells
_AREA: Final = 4  # cells of an area's side
_SMALL: Final = 0.3  # grey levels: less is what compression leaves
_FAR: Final = 20.0  # grey levels: more counts as that
_TURNED: Final = -0.3  # correlation of a tile that is dark where the other is bright


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells of both pictures, ``(r, c)`` each: which lie inside, agree and show something; their contrast."""

    inside: NDArray[np.bool_]
    agree: NDArray[np.bool_]
    shows: NDArray[np.bool_]
    contrast: NDArray[np.float32]


def levels_followed(
    still: NDArray[np.float32],
    warped: NDArray[np.float32],
    mask: NDArray[np.float32],
    places: NDArray[np.int64],
    tiles: NDArray[np.float32],
    *,
    agrees: float,
) -> NDArray[np.float64]:
    """Return `LEVELS`, ``(27,)``.

    What is done to a copy, as compression, other colours or another brightness, gives each grey level another one, the same
    wherever it is. Between two exposures, or two things of one kind, one level becomes several: light fell otherwise, and parts
    have other colours. So a rising curve is fitted where tiles agree, from the one picture to the other and back, and what
    it leaves is measured in small cells: how much, of what is shown, and whether neighbours are off alike.

    Args:
        still, warped: ``(h, w)`` grey levels of two pictures, the one laid on the other.
        mask: ``(h, w)`` 1 where both are, else 0.
        places: ``(3,)`` side, left and top of the tiles.
        tiles: ``(r, c)`` correlations of the tiles.
        agrees: correlation from which a tile agrees.
    """
    cv2 = opencv()
    rows, columns = (max(1, size // _CELL) for size in mask.shape)
    cut = np.s_[: rows * _CELL, : columns * _CELL]

    def means(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(image[cut], (columns, rows), interpolation=cv2.INTER_AREA))

    share = means(mask)
    inside = share > _INSIDE
    if inside.sum() < _FEWEST:
        return np.zeros(len(LEVELS))
    share = np.maximum(share, 1e-6)
    levels, contrasts = [], []
    for image in (warped, still):
        held = image * mask
        mean = means(held) / share
        levels.append(mean)
        contrasts.append(np.sqrt(np.maximum(means(held * held) / share - mean * mean, 0.0)))
    contrast = np.maximum(*contrasts)
    with np.errstate(invalid="ignore"):
        good, turned = tiles > agrees, tiles < _TURNED
    cells = _Cells(
        inside,
        _enough(good[_tile_of(rows, columns, places, tiles.shape)] & inside, inside, _FEWEST),
        _enough((contrast > _SHOWS) & inside, inside, 8),
        contrast,
    )
    found = [_followed(cv2, one, other, cells) for one, other in (levels, levels[::-1])]
    found.sort(key=lambda one: one[1][0])
    (first, better, off), (second, worse, _) = found
    bad = inside & (off > max(6.0, 4.0 * float(np.exp(better[0]))))
    flat = [(one < _FLAT) & inside for one in contrasts]
    among = cells.agree
    return np.array([
        *np.minimum(first[:3], second[:3]), *np.maximum(first[3:], second[3:]),
        *better, worse[1], worse[0], worse[4],
        cells.shows.sum() / inside.sum(), turned.sum() / max(1, int(np.isfinite(tiles).sum())),
        max(one.sum() for one in flat) / inside.sum(), bad.sum() / inside.sum(),
        max(((one & bad).sum() + 1) / (bad.sum() + 4) for one in flat),
        _correlation(off[among], contrast[among]), np.log(_SMALL + _quantile(np.sort(off[inside]), 0.5)),
    ])  # fmt: skip


def _tile_of(
    rows: int, columns: int, places: NDArray[np.int64], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and the column of the tile that each cell lies in, ``(r, 1)`` and ``(c,)``."""
    side, left, top = places.tolist()
    row, column = (
        np.clip(((np.arange(number) + 0.5) * _CELL - start) // side, 0, most - 1).astype(np.int64)
        for number, start, most in ((rows, top, shape[0]), (columns, left, shape[1]))
    )
    return row[:, None], column


def _enough(some: NDArray[np.bool_], every: NDArray[np.bool_], fewest: int) -> NDArray[np.bool_]:
    return some if some.sum() >= fewest else every


def _followed(
    cv2: Any, one: NDArray[np.float32], other: NDArray[np.float32], cells: _Cells
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Return how far the second follows from the first: ten numbers, seven, and by how much each cell is off."""
    left = other - _curve(one[cells.agree], other[cells.agree], one)
    off = np.abs(left)
    shown, among = np.sort(off[cells.shows]), np.sort(off[cells.agree])
    beside = np.sort(off[cells.shows] / (cells.contrast[cells.shows] + 1.0))
    offs = np.array([
        _quantile(among, 0.5), _quantile(among, 0.9), _quantile(shown, 0.5), _quantile(shown, 0.75),
    ])  # fmt: skip
    spreads = np.repeat([_spread(other[cells.agree]), _spread(other[cells.shows])], 2)
    areas = cv2.blur(np.where(cells.inside, left, 0).astype(np.float32), (_AREA, _AREA))
    over = _quantile(np.sort(np.abs(areas[cells.agree])), 0.5)
    every = off[cells.inside]
    logs = np.log(_SMALL + offs)
    return (
        np.concatenate([
            np.searchsorted(shown, (2.0, 5.0, 10.0)) / len(shown), [logs[2]], logs - np.log(spreads),
            [_quantile(beside, 0.5), _quantile(beside, 0.75)],
        ]),
        np.array([
            logs[0], (every < 2).mean(), (every < 5).mean(), logs[1], np.log(0.1 + over), np.log(0.1 + over) - logs[0],
            _alike(left, cells.agree),
        ]),
        off,
    )  # fmt: skip


def _alike(left: NDArray[np.float32], use: NDArray[np.bool_]) -> float:
    """Return how alike cells are off that lie two apart, −1…1: what compression left has no pattern."""
    held = np.clip(np.where(use, left, 0.0), -_FAR, _FAR)
    products, pairs = 0.0, 0
    for first, second in (
        (np.s_[2:], np.s_[:-2]),
        (np.s_[:, 2:], np.s_[:, :-2]),
    ):
        products += float((held[first] * held[second]).sum())  # 0 where either is not used
        pairs += int((use[first] & use[second]).sum())
    mean_square = float((held[use] ** 2).mean()) + 0.05
    return products / pairs / mean_square if pairs else 0.0


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    x, y = one - one.mean(), other - other.mean()
    spreads = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / spreads if spreads > 1e-6 else 0.0


def _quantile(ordered: NDArray[np.float32], share: float) -> float:
    return float(ordered[int(share * (len(ordered) - 1))])


def _spread(levels: NDArray[np.float32]) -> float:
    """Return the median distance from the median, and 1."""
    away = np.abs(levels - _quantile(np.sort(levels), 0.5))
    return _quantile(np.sort(away), 0.5) + 1.0


def _curve(x: NDArray[np.float32], y: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fit a rising curve through medians, and return it at some places; it goes on straight beyond its ends."""
    parts = int(np.clip(len(x) // _FEWEST, 2, 12))
    some = np.argsort(x)[: len(x) // parts * parts].reshape(parts, -1)
    middle = some.shape[1] // 2
    knots = x[some[:, middle]]
    heights = np.maximum.accumulate(np.sort(y[some], axis=1)[:, middle])
    rises = np.append(True, np.diff(knots) > 0)
    knots, heights = knots[rises], heights[rises]
    if len(knots) < 2:
        return np.full_like(at, heights[0])
    slope = (heights[-1] - heights[0]) / (knots[-1] - knots[0])
    beyond = at - np.clip(at, knots[0], knots[-1])
    return np.asarray(np.interp(at, knots, heights) + slope * beyond, np.float32)

"""Lay one picture on the other, and measure tile by tile how far their pixels agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.geometry import Placement, corners
from retrieval.matching.levels import levels_followed
from retrieval.matching.local_features import Features
from retrieval.matching.moved_parts import moved_parts
from retrieval.matching.opencv import opencv

AGREES = 0.8
"""Correlation of a tile's pixels from which the tile agrees."""

_LOOSE = 0.5
_SMOOTH = 1.2  # pixels: the deviation of the blur that hides what compression left
_BLURS = (1.6, 2.4, 3.6, 5.4, 8.0)
_FLAT = 3.0  # grey levels: the deviation below which a tile shows nothing
_SMALLEST = 400.0  # pixels of overlap
_PARTS = 10  # a side that are followed
_INSIDE = 0.6  # share of a tile that lies in the overlap
_WINDOW = 15
_LOST = 3.0  # pixels: what parts that were not found again count
_FOLLOWED = 0.7  # pixels
_FINE = 1.6  # pixels: the deviation of the blur that takes fine detail away


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two pictures agree where they overlap.

    Args:
        matrix: ``(3, 3)`` from pixels of the first to pixels of the second, refined.
        tiles: ``(r, c)`` correlations −1…1 of the tiles; NaN outside the overlap and where both show nothing.
        cover: the shares of the first and of the second picture that the overlap takes.
        drift: pixels by which small parts still lie beside their place when all was moved as one: the median.
        followed: share of the small parts that were found again within a pixel of their place.
        tone: correlation of the mean grey levels of the tiles that agree.
        size: pixels of the overlap.
        levels: ``(2, r, c)`` mean grey levels of the tiles in both pictures.
        contrast: ``(2, r, c)`` deviations of their grey levels, 0.7 at least.
        inside: ``(r, c)`` tiles of which more than half lies in the overlap, flat ones too.
        fine: ``(r, c)`` correlations −1…1 of the tiles' finest detail alone; NaN as in ``tiles``.
        detail: ``(2, r, c)`` deviations of that detail, in grey levels.
        sway: how alike small parts that lie side by side are beside their place, −1…1: what noise left has no direction,
            and near and far things that moved apart have one.
        moved: share of tiles that disagree though both show something, of which the one is found beside its place in the other.
        apart: how many tiles were looked for so.
        followed_levels: ``(27,)`` how far the grey levels of the one follow from those of the other, `LEVELS`.
    """

    matrix: NDArray[np.float64]
    tiles: NDArray[np.float32]
    cover: tuple[float, float]
    drift: float
    followed: float
    tone: float
    size: float
    levels: NDArray[np.float32]
    contrast: NDArray[np.float32]
    inside: NDArray[np.bool_]
    fine: NDArray[np.float32]
    detail: NDArray[np.float32]
    sway: float
    moved: float
    apart: int
    followed_levels: NDArray[np.float64]

    @property
    def shown(self) -> NDArray[np.float32]:
        """The correlations of the tiles that show something, ``(t,)``."""
        return self.tiles[np.isfinite(self.tiles)]

    @property
    def share(self) -> float:
        """The share of these tiles that agrees."""
        shown = self.shown
        return float((shown > AGREES).mean()) if len(shown) else 0.0

    @property
    def extent(self) -> float:
        """The share of the overlap over which agreement is spread: small for a thing in other surroundings.

        It is the share of rows of tiles in which a third agrees at least loosely, times that of columns.
        """
        shown = np.isfinite(self.tiles)
        loose = self.tiles > _LOOSE  # NaN is not
        spread = 1.0
        for axis in (0, 1):
            there = shown.sum(axis=axis)
            held = loose.sum(axis=axis)[there > 0] >= there[there > 0] / 3
            spread *= float(held.mean()) if len(held) else 0.0
        return spread


def agreement(a: Features, b: Features, placed: Placement) -> Agreement | None:
    """Compare the pixels of ``b`` with those of ``a`` placed on it; None where too little overlaps.

    The picture that shows less detail gives the grid, so that nothing is enlarged.
    """
    cv2 = opencv()
    scale = np.sqrt(abs(np.linalg.det(placed.matrix[:2, :2])))
    swapped = bool(scale > 1)
    over, under = (b.grey, a.grey) if swapped else (a.grey, b.grey)
    matrix: NDArray[np.float64] = (
        np.linalg.inv(placed.matrix).astype(np.float64) if swapped else placed.matrix
    )
    scale = 1 / scale if swapped else scale
    box = _box(matrix, over.shape, under.shape)
    if box is None:
        return None
    left, top, right, bottom = box
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    size = (right - left, bottom - top)
    still = cv2.GaussianBlur(np.ascontiguousarray(under[top:bottom, left:right], np.float32), (0, 0), _SMOOTH)
    moving = cv2.GaussianBlur(over.astype(np.float32), (0, 0), _SMOOTH / scale)
    warped, mask = _warp(cv2, moving, shift @ matrix, size)
    if mask.sum() < _SMALLEST:
        return None
    still, warped = _equally_sharp(cv2, still, warped, mask)
    refined, drift, followed, sway = _refined(cv2, still, warped, mask)
    if refined is not None:
        matrix = (np.linalg.inv(shift) @ refined @ shift @ matrix).astype(np.float64)
        warped, mask = _warp(cv2, warped, refined, size, mask)
        if mask.sum() < _SMALLEST:
            return None
    tiles, places = _tiles(cv2, still, warped, mask)
    moved, apart = moved_parts(still, warped, places, tiles["tiles"], tiles["contrast"])
    levels = levels_followed(still, warped, mask, places, tiles["tiles"], agrees=AGREES)
    area = float(mask.sum())
    share_over = area / max(1.0, over.size * abs(np.linalg.det(matrix[:2, :2])))
    cover = min(1.0, share_over), min(1.0, area / under.size)
    if swapped:
        matrix, cover = np.linalg.inv(matrix).astype(np.float64), (cover[1], cover[0])
    return Agreement(
        matrix=matrix / matrix[2, 2],
        cover=cover,
        drift=drift,
        followed=followed,
        size=area,
        sway=sway,
        moved=moved,
        apart=apart,
        followed_levels=levels,
        **tiles,
    )


def _box(
    matrix: NDArray[np.float64], over: tuple[int, ...], under: tuple[int, ...]
) -> tuple[int, int, int, int] | None:
    """Return the part of the picture below that the one above may touch: left, top, right, bottom."""
    moved = corners(over) @ matrix[:2, :2].T + matrix[:2, 2]
    left, top = np.maximum(np.floor(moved.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(moved.max(axis=0)) + 1, under[::-1]).astype(int)
    if (right - left) * (bottom - top) < _SMALLEST or min(right - left, bottom - top) < 8:
        return None
    return int(left), int(top), int(right), int(bottom)


def _warp(
    cv2: Any, image: NDArray[np.float32], matrix: NDArray[np.float64], size: tuple[int, int], mask: Any = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the image laid on a grid, and 1 where it lies there, else 0."""
    warped = cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.ones(image.shape, np.float32) if mask is None else mask
    there = cv2.warpAffine(mask, matrix[:2], size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return warped, there


def _equally_sharp(
    cv2: Any, one: NDArray[np.float32], other: NDArray[np.float32], mask: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blur the sharper one until both show equal detail: a copy may have been blurred or enlarged."""
    inside = mask.astype(np.uint8)

    def detail(image: NDArray[np.float32]) -> float:
        spread = float(cv2.meanStdDev(image, mask=inside)[1][0, 0]) + 1.0
        return float(cv2.mean(np.abs(cv2.Laplacian(image, cv2.CV_32F)), mask=inside)[0]) / spread

    details = detail(one), detail(other)
    sharper, aim = (one, details[1]) if details[0] > details[1] else (other, details[0])
    blurred, nearest = sharper, max(details)
    for deviation in _BLURS:
        if nearest < 1.15 * aim:
            break
        candidate = cv2.GaussianBlur(sharper, (0, 0), deviation)
        left = detail(candidate)
        if abs(np.log(left + 1e-6) - np.log(aim + 1e-6)) > abs(np.log(nearest + 1e-6) - np.log(aim + 1e-6)):
            break
        blurred, nearest = candidate, left
    return (blurred, other) if sharper is one else (one, blurred)


def _refined(
    cv2: Any, still: NDArray[np.float32], warped: NDArray[np.float32], mask: NDArray[np.float32]
) -> tuple[NDArray[np.float64] | None, float, float, float]:
    """Follow small parts from the one to the other; fit how all moved; return it, `drift`, `followed` and `sway`."""
    height, width = mask.shape
    step = max(6, round(np.sqrt(height * width) / _PARTS))
    grid = np.mgrid[step // 2 : height : step, step // 2 : width : step].reshape(2, -1).T[:, ::-1]
    grid = grid[mask[grid[:, 1], grid[:, 0]] > 0].astype(np.float32)  # (p, 2)
    if len(grid) < 6:
        return None, _LOST, 0.0, 0.0
    one, two = _even(cv2, warped), _even(cv2, still)
    moved, found, error = cv2.calcOpticalFlowPyrLK(
        one, two, grid[:, None], None, winSize=(_WINDOW, _WINDOW), maxLevel=1,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03), minEigThreshold=1e-3,
    )  # fmt: skip
    moved = moved[:, 0]
    good = (found[:, 0] > 0) & (error[:, 0] < 14) & (np.abs(moved - grid).max(axis=1) < 6)
    if good.sum() < 6:
        return None, _LOST, 0.0, 0.0
    source, target = grid[good], moved[good]
    matrix, inside = cv2.estimateAffine2D(
        source[:, None], target[:, None], method=cv2.RANSAC, ransacReprojThreshold=0.8, maxIters=100
    )
    if matrix is None or inside.sum() < 6 or np.abs(matrix[:, :2] - np.eye(2)).max() > 0.2:
        return None, _LOST, 0.0, 0.0
    beside = target - (source @ matrix[:, :2].T + matrix[:, 2])
    off = np.sqrt((beside**2).sum(axis=1))
    near = off < _FOLLOWED
    moved_as_one = np.vstack([matrix, (0, 0, 1)])
    sway = _sway(source, beside, off < _LOST, step=step)
    return moved_as_one, float(np.median(np.minimum(off, _LOST))), float(near.sum() / len(grid)), sway


def _sway(
    places: NDArray[np.float32], beside: NDArray[np.float64], use: NDArray[np.bool_], *, step: int
) -> float:
    """Return how alike neighbours are beside their place: the mean product of neighbours over the mean square."""
    if use.sum() < 6:
        return 0.0
    column, row = (places[use].astype(np.int64) // step).T
    shifts, there = (
        np.zeros((row.max() + 1, column.max() + 1, 2)),
        np.zeros((row.max() + 1, column.max() + 1)),
    )
    shifts[row, column], there[row, column] = beside[use], 1.0
    products = (shifts[1:] * shifts[:-1]).sum() + (shifts[:, 1:] * shifts[:, :-1]).sum()
    neighbours = (there[1:] * there[:-1]).sum() + (there[:, 1:] * there[:, :-1]).sum()
    mean_square = float((beside[use] ** 2).sum(axis=1).mean())
    return float(products / neighbours / max(mean_square, 1e-4)) if neighbours else 0.0


def _even(cv2: Any, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Take away local differences of brightness and contrast."""
    away = image - cv2.blur(image, (31, 31))
    spread = np.sqrt(np.maximum(cv2.blur(away * away, (31, 31)), 0))
    return np.asarray(np.clip(128 + 40 * away / (spread + 2), 0, 255).astype(np.uint8))


def _tiles(
    cv2: Any, one: NDArray[np.float32], two: NDArray[np.float32], mask: NDArray[np.float32]
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Measure `Agreement`'s tiles, tone, levels, contrast, inside, fine and detail; return also where the tiles lie.

    That is ``(3,)``: the side of a tile, and left and top of the first.
    """
    height, width = mask.shape
    tile = int(np.clip(np.sqrt(mask.sum()) / 10, 6, 20))
    columns, rows = max(1, width // tile), max(1, height // tile)
    # Tiles of equal size; the remainder is cut at the edges, evenly.
    left, top = (width - columns * tile) // 2, (height - rows * tile) // 2
    cut = np.s_[top : top + rows * tile, left : left + columns * tile]

    def means(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(image[cut], (columns, rows), interpolation=cv2.INTER_AREA))

    weight = means(mask)
    share = np.maximum(weight, 1e-6)
    # Around a number near the tile's own mean, so that float32 loses nothing.
    middles = one.mean(), two.mean()
    one, two = one - middles[0], two - middles[1]
    held, other = one * mask, two * mask  # the mask is 0 or 1
    x, y = means(held) / share, means(other) / share
    xx = means(held * held) / share - x * x
    yy = means(other * other) / share - y * y
    xy = means(held * other) / share - x * y
    x, y = x + middles[0], y + middles[1]
    shows = (weight > _INSIDE) & (np.maximum(xx, yy) > _FLAT**2)
    clipped = ((x > 250) | (x < 5)) & (xx < 4) | ((y > 250) | (y < 5)) & (yy < 4)
    found = np.where(shows & ~clipped, xy / np.sqrt(np.maximum(xx, 0.5) * np.maximum(yy, 0.5)), np.nan)
    agree = found > AGREES
    tone = 0.0
    if agree.sum() >= 4:
        u, v = x[agree] - x[agree].mean(), y[agree] - y[agree].mean()
        tone = float((u * v).sum() / np.sqrt(max((u * u).sum() * (v * v).sum(), 1.0)))
    u, v = ((image - cv2.GaussianBlur(image, (0, 0), _FINE)) * mask for image in (one, two))
    uu, vv, uv = (means(product) / share for product in (u * u, v * v, u * v))
    fine = np.where(np.isfinite(found), uv / np.sqrt(np.maximum(uu * vv, 1e-4)), np.nan)
    return {
        "tiles": found.astype(np.float32), "tone": tone, "levels": np.stack([x, y]),
        "contrast": np.sqrt(np.maximum(np.stack([xx, yy]), 0.5)), "inside": weight > _INSIDE,
        "fine": fine.astype(np.float32), "detail": np.sqrt(np.stack([uu, vv])),
    }, np.array([tile, left, top])  # fmt: skip

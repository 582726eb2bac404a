"""Compute what relations are told from: how much of the overlap agrees, how well, and how evenly."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.agreement import AGREES, Agreement
from retrieval.matching.levels import LEVELS

SIGNS: Final = (
    "share above 0.7", "share above 0.9", "share above 0.97", "third quartile", "median of those above 0.7",
    "cover of the one covered most", "cover of the other", "drift", "tone", "points", "share of points", "tiles", "stretch",
    "share above 0.97 of that above 0.7", "followed", "followed of the share above 0.7", "share 0.5 to 0.9 of that above 0.5",
    "tenth of those above 0.5", "quarter of those above 0.5", "neighbours", "extent", "spread of gains", "tone of all", "clear share above 0.9", "bad neighbours", "clear median",
    "fine", "quarter of fine", "fine detail", "unequal detail", "sway", "moved", "apart", *LEVELS,
)  # fmt: skip
"""What relations are computed from, in the order of a network's inputs."""

_LEVELS: Final = 10.0  # grey levels
_CLEAR: Final = 12.0  # grey levels: the deviation from which a tile is clear


def signs(pixels: Agreement, agreeing: int, pairs: int) -> NDArray[np.float64]:
    """Return `SIGNS` as numbers, ``(60,)``."""
    tiles = np.sort(pixels.shown) if len(pixels.shown) else np.zeros(1, np.float32)
    above = {
        limit: len(tiles) - int(np.searchsorted(tiles, limit, "right")) for limit in (0.5, 0.7, 0.9, 0.97)
    }
    share = {limit: number / len(tiles) for limit, number in above.items()}
    loose = tiles[len(tiles) - above[0.5] :]
    large, small = np.linalg.svd(pixels.matrix[:2, :2], compute_uv=False)
    return np.array(
        [
            share[0.7],
            share[0.9],
            share[0.97],
            _quantile(tiles, 0.75),
            np.log(1.005 - _quantile(tiles[len(tiles) - above[0.7] :], 0.5)),
            max(pixels.cover),
            min(pixels.cover),
            pixels.drift,
            np.log(1.005 - pixels.tone),
            np.log1p(agreeing),
            agreeing / max(pairs, 1),
            np.log1p(len(pixels.shown)),
            np.log(large / small),
            share[0.97] / max(share[0.7], 0.02),
            pixels.followed,
            min(pixels.followed / max(share[0.7], 0.02), 2.0),
            (above[0.5] - above[0.9]) / max(above[0.5], 1),
            np.log(1.005 - _quantile(loose, 0.1)),
            np.log(1.005 - _quantile(loose, 0.25)),
            _together(pixels.tiles, pixels.tiles > 0.9),
            pixels.extent,
            np.log(0.02 + _gains(pixels)),
            _tone_of_all(pixels),
            _clear_share(pixels),
            _together(pixels.tiles, pixels.tiles < 0.6),
            _clear_median(pixels),
            *_fine(pixels),
            pixels.sway,
            pixels.moved,
            np.log1p(pixels.apart),
            *pixels.followed_levels,
        ]
    )


def _quantile(ordered: NDArray[np.float32], share: float) -> float:
    """Return a quantile of ordered numbers; 0 of none."""
    return float(ordered[int(share * (len(ordered) - 1))]) if len(ordered) else 0.0


def _together(tiles: NDArray[np.float32], some: NDArray[np.bool_]) -> float:
    """Return of the pairs of tiles side by side, of which one is among some, the share where both are: high for a block."""
    shown = np.isfinite(tiles)
    either = both = 0
    for one, other in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        seen = shown[one] & shown[other]
        either += int((seen & (some[one] | some[other])).sum())
        both += int((seen & some[one] & some[other]).sum())
    return both / max(either, 1)


def _gains(pixels: Agreement) -> float:
    """Return how far apart the contrasts of the one are from those of the other, among tiles that agree.

    A copy changes all contrasts alike; the light of another exposure does not.
    """
    agree = pixels.tiles > AGREES
    if agree.sum() < 4:
        return 1.0
    gains = np.sort(np.log(pixels.contrast[1][agree] / pixels.contrast[0][agree]))
    return _quantile(gains, 0.75) - _quantile(gains, 0.25)


def _tone_of_all(pixels: Agreement) -> float:
    """Return the share of the overlap, flat tiles too, whose grey levels differ as those of the tiles that agree do."""
    agree = pixels.tiles > AGREES
    if agree.sum() < 6:
        return 0.0
    (x, y), (u, v) = pixels.levels, pixels.contrast
    slope = v[agree].mean() / u[agree].mean()
    beside = np.abs(y - slope * x - np.median((y - slope * x)[agree])) / max(1.0, np.sqrt(slope))
    return float((beside[pixels.inside] < _LEVELS).mean())


def _fine(pixels: Agreement) -> tuple[float, float, float, float]:
    """Return how well the finest detail agrees in tiles that agree, median and quarter; how much there is of it, and how unequal.

    Two copies of one exposure share its noise, leaves and grass, as far as both kept them. Two exposures do not.
    """
    agree = (pixels.tiles > AGREES) & np.isfinite(pixels.fine)
    if agree.sum() < 4:
        return 0.0, 0.0, 0.0, 0.0
    fine = np.sort(pixels.fine[agree])
    less, more = np.sort(np.median(pixels.detail[:, agree], axis=1))
    return (
        float(np.log(1.02 - _quantile(fine, 0.5))),
        float(np.log(1.02 - _quantile(fine, 0.25))),
        float(np.log(0.2 + less)),
        float(np.log((0.2 + more) / (0.2 + less))),
    )


def _clear_share(pixels: Agreement) -> float:
    """Return the share of the contrast that lies in tiles that agree well."""
    shown = np.isfinite(pixels.tiles)
    contrast = pixels.contrast.max(axis=0)
    return float(contrast[shown & (pixels.tiles > 0.9)].sum() / max(float(contrast[shown].sum()), 1e-6))


def _clear_median(pixels: Agreement) -> float:
    """Return the logarithm of what the median of the tiles that both show clearly lacks; 0 of few tiles."""
    clear = np.sort(pixels.tiles[np.isfinite(pixels.tiles) & (pixels.contrast.min(axis=0) > _CLEAR)])
    return float(np.log(1.005 - max(_quantile(clear, 0.5), -0.9))) if len(clear) >= 4 else 0.0

"""Say whether a picture was set into another one, as in a collage or a screenshot: whether its outline is a seam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.matching.comparison import Outline
    from retrieval.matching.local_features import Features

_REACH: Final = 4  # pixels to either side of the outline
_NEAR: Final = 2  # pixels by which an outline may be off
_STEP: Final = 2.0  # how many times more grey levels change at a seam than beside it
_SEEN: Final = 3.0  # grey levels that change at least, where there is something to be seen
_SHORTEST: Final = 12  # points of a side
_MOST: Final = 0.7  # of the sides, by length
_AWAY: Final = 5  # pixels outside of the outline, beyond what compression blurs
_OTHER: Final = 20.0  # grey levels by which a point there is no part of an even border
_ENOUGH: Final = 0.05  # of a side's points


def is_set_in(picture: Features, outline: Outline) -> bool:
    """Say whether another picture was set into this one.

    The grey levels of an uncropped picture go on across the outline of its crop. Where a picture was set into a page, they change at
    once along the whole outline.

    Args:
        picture: the larger one.
        outline: the corners of the other in it, as `Verdict` has them.
    """
    corners = _corners(picture, outline)
    middle = corners.mean(axis=0)
    seams = seen = 0.0
    for start, end in _sides(corners):
        profile = _profile(picture.grey, start, end, middle)
        if profile is None or profile.max() < _SEEN:
            continue
        points = float(np.linalg.norm(end - start))
        beside = np.median(np.delete(profile, slice(_REACH - _NEAR, _REACH + _NEAR)))
        seen += points
        seams += (
            points
            if profile[_REACH - _NEAR : _REACH + _NEAR].max() > _STEP * max(float(beside), 0.5)
            else 0.0
        )
    return bool(seen and seams >= _MOST * seen)


def goes_on(picture: Features, outline: Outline) -> bool:
    """Say whether something goes on beyond the outline of another picture in this one: a border is even there, along each side.

    Args:
        picture: the larger one.
        outline: the corners of the other in it, as `Verdict` has them.
    """
    height, width = picture.grey.shape
    corners = _corners(picture, outline)
    middle = corners.mean(axis=0)
    for start, end in _sides(corners):
        length = float(np.linalg.norm(end - start))
        if length < _SHORTEST:
            continue
        across = np.array([end[1] - start[1], start[0] - end[0]]) / length
        if across @ (start - middle) < 0:
            across = -across
        along = start + np.linspace(0.05, 0.95, round(length))[:, None] * (end - start) + _AWAY * across
        x, y = np.round(along).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        if inside.sum() < _SHORTEST:
            continue
        levels = picture.grey[y[inside], x[inside]].astype(np.float64)
        if (np.abs(levels - np.median(levels)) > _OTHER).mean() > _ENOUGH:
            return True
    return False


def _corners(picture: Features, outline: Outline) -> NDArray[np.float64]:
    """Return the corners of an outline in pixels of the grey picture, ``(4, 2)``."""
    height, width = picture.grey.shape
    return np.asarray(outline, np.float64) * (width, height) - 0.5


def _sides(corners: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Give where each side begins and ends."""
    return zip(corners, np.roll(corners, -1, axis=0), strict=True)


def _profile(
    grey: NDArray[np.uint8], start: NDArray[np.float64], end: NDArray[np.float64], middle: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return by how many grey levels neighbours across a side differ in the mean, from inside to outside, ``(2 · _REACH,)``.

    None where the side is the picture's own edge, or too short.
    """
    length = float(np.linalg.norm(end - start))
    if length < _SHORTEST:
        return None
    across = np.array([end[1] - start[1], start[0] - end[0]]) / length
    if across @ (start - middle) < 0:
        across = -across
    along = start + np.linspace(0.1, 0.9, round(length))[:, None] * (end - start)  # (n, 2)
    places = along[:, None] + np.arange(-_REACH, _REACH + 1)[:, None] * across  # (n, 2 · _REACH + 1, 2)
    x, y = np.round(places).astype(int).transpose(2, 0, 1)
    inside = ((x >= 0) & (y >= 0) & (x < grey.shape[1]) & (y < grey.shape[0])).all(axis=1)
    if inside.sum() < _SHORTEST:
        return None
    levels = grey[y[inside], x[inside]].astype(np.float64)
    return np.asarray(np.abs(np.diff(levels, axis=1)).mean(axis=0))

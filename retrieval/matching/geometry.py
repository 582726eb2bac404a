"""Find how one picture lies on another: a 3 × 3 matrix from pixels of the one to pixels of the other."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.correspondences import Correspondences
from retrieval.matching.local_features import Features

_SCALES = 0.12, 8.0  # of one picture to the other
_NEAR = 4.0  # pixels
_DOUBLE = 2**0.8  # by how much two pairs of features may differ in scale
_TRIED = 25
_ENOUGH = 0.5  # share of the pairs
_FEWEST = 4  # points that agree, below which a placement is chance
_FRAMED = 0.9  # correlation of two thumbnails
_ROW = 1024  # more than any place has pixels, and small enough that float32 counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a picture lies on another.

    Args:
        matrix: ``(3, 3)`` float64, from pixels of the first (not mirrored) to pixels of the second.
        agreeing: distinct pairs of points that agree.
        pairs: pairs of points there were.
    """

    matrix: NDArray[np.float64]
    agreeing: int
    pairs: int
    mirrored: bool


def mirror(width: int) -> NDArray[np.float64]:
    """Return the matrix that mirrors a picture from left to right."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the outer corners of a picture, ``(4, 2)`` x and y; a pixel's centre is whole numbers."""
    height, width = shape
    return np.array([(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)])


def placement(pairs: Correspondences, a: Features) -> Placement | None:
    """Return the placement that most pairs agree on; None where it may be chance.

    Each pair alone says how its pictures lie on each other, from place, size and angle of two features. So every pair is
    tried, and nothing is drawn at random.
    """
    source, target, turn = pairs.source, pairs.target, pairs.turn
    if len(source) < _FEWEST:
        return None
    inside = _most_agreed(source, target, turn)
    if inside.sum() < _FEWEST:
        return None
    matrix = _similarity(source[inside], target[inside])
    for _ in range(2):
        inside = _near(matrix, source, target)
        if _distinct(source[inside], target[inside]) < _FEWEST:
            return None
        matrix = _similarity(source[inside], target[inside])
    affine = _affine(source[inside], target[inside])
    if affine is not None:
        better = _near(affine, source, target)
        if better.sum() >= inside.sum():
            again = _affine(source[better], target[better])
            matrix, inside = affine if again is None else again, better
    agreeing = _distinct(source[inside], target[inside])
    if agreeing < _FEWEST or not _plausible(matrix):
        return None
    if pairs.mirrored:
        matrix = matrix @ mirror(a.grey.shape[1])
    # Points of a symmetric thing may tell a mirrored picture from pairs of features that are not.
    mirrored = bool(np.linalg.det(matrix[:2, :2]) < 0)
    return Placement(matrix=matrix, agreeing=agreeing, pairs=len(source), mirrored=mirrored)


def _most_agreed(
    source: NDArray[np.complex64], target: NDArray[np.complex64], turn: NDArray[np.complex64]
) -> NDArray[np.bool_]:
    """Return the pairs that agree with the pair that most agree with, ``(m,)``.

    The first pairs look most alike. Where many agree with one of these, the others are not tried.
    """
    best = np.zeros(len(source), dtype=np.bool_)
    for start in range(0, len(source), _TRIED):
        tried = slice(start, start + _TRIED)
        between = source[None, :] - source[tried, None]  # (t, m): from i to j
        off = np.abs(turn[tried, None] * between - (target[None, :] - target[tried, None]))
        size = np.abs(turn[tried, None])
        relation = turn[None, :] / turn[tried, None]
        length = np.abs(relation)
        agree = off < _NEAR * np.maximum(size, 1) + 0.15 * size * np.abs(between)
        agree &= (length < _DOUBLE) & (length > 1 / _DOUBLE)
        agree &= relation.real > 0.85 * length
        agree &= (size > _SCALES[0]) & (size < _SCALES[1])
        counts = agree.sum(axis=1)
        most = int(counts.argmax())
        if counts[most] > best.sum():
            best = agree[most]
        if best.sum() > _ENOUGH * len(source):
            break
    return best


def framed(a: Features, b: Features) -> Iterator[Placement]:
    """Yield placements of the whole of ``a`` on the whole of ``b``, turned or mirrored, where small copies are alike.

    This finds what has no local features: skies, and pictures that were blurred much.
    """
    scores = a.thumbnail.ravel()[_turned(len(a.thumbnail))] @ b.thumbnail.ravel()  # (8,)
    best = int(scores.argmax())
    if scores[best] >= _FRAMED:
        mirrored, quarters = best >= 4, best % 4
        source = corners(a.grey.shape)
        if mirrored:
            source = source[[1, 0, 3, 2]]
        target = np.roll(corners(b.grey.shape), -quarters, axis=0)
        matrix = _affine(source @ (1, 1j), target @ (1, 1j))
        if matrix is not None and _plausible(matrix):
            yield Placement(matrix=matrix, agreeing=0, pairs=0, mirrored=mirrored)


@functools.cache
def _turned(side: int) -> NDArray[np.int64]:
    """Return the places of a square's pixels turned by none to three quarters, then so mirrored, ``(8, side²)``."""
    places = np.arange(side * side).reshape(side, side)
    return np.stack([np.rot90(one, -turn).ravel() for one in (places, places[:, ::-1]) for turn in range(4)])


def _distinct(source: NDArray[np.complex64], target: NDArray[np.complex64]) -> int:
    """Count places, not features: one place may have several features, of other sizes and angles."""
    return min(
        len(np.unique(np.round(points.real / 2) * _ROW + np.round(points.imag / 2)))
        for points in (source, target)
    )


def _near(
    matrix: NDArray[np.float64], source: NDArray[np.complex64], target: NDArray[np.complex64]
) -> NDArray[np.bool_]:
    moved = (matrix[0, 0] * source.real + matrix[0, 1] * source.imag + matrix[0, 2]) + 1j * (
        matrix[1, 0] * source.real + matrix[1, 1] * source.imag + matrix[1, 2]
    )
    scale = np.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    return np.asarray(np.abs(moved - target) < _NEAR * max(scale, 1.0))


def _similarity(source: NDArray[np.complex64], target: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Fit turn, scale and shift by least squares."""
    middle, aim = source.mean(), target.mean()
    away = source - middle
    spread = float((np.abs(away) ** 2).sum())
    turn = complex((np.conj(away) * (target - aim)).sum()) / spread if spread > 1 else 1.0 + 0j
    shift = aim - turn * middle
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0, 0, 1]], np.float64
    )


def _affine(source: NDArray[np.complex64], target: NDArray[np.complex64]) -> NDArray[np.float64] | None:
    """Fit six numbers by least squares; None where the points do not determine them."""
    middle = source.mean()
    away = source - middle
    rows = np.stack([away.real, away.imag, np.ones(len(source))], axis=1).astype(np.float64)  # (m, 3)
    square = rows.T @ rows
    if len(source) < 4 or np.linalg.det(square[:2, :2]) < 400.0 * len(source) ** 2:
        return None
    solved = np.linalg.solve(square, rows.T @ np.stack([target.real, target.imag], axis=1))  # (3, 2)
    matrix = np.eye(3)
    matrix[:2, :2] = solved[:2].T
    matrix[:2, 2] = solved[2] - matrix[:2, :2] @ (middle.real, middle.imag)
    return matrix


def _plausible(matrix: NDArray[np.float64]) -> bool:
    """Say whether a picture may have been altered so: no scale out of range, and not squashed to a line."""
    large, small = np.linalg.svd(matrix[:2, :2], compute_uv=False)
    return bool(small > _SCALES[0] and large < _SCALES[1] and large < 3 * small)

"""Pair the local features of two pictures, as they are and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.local_features import Features
from retrieval.matching.opencv import opencv

_RATIO = 0.85  # of the distances to the nearest and the second nearest descriptor
_MOST = 200

# A picture mirrored about the axis of a feature: rows of its 4 × 4 cells change places, and directions their sign.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1, :, (-np.arange(8)) % 8].ravel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondences:
    """Pairs of points that look alike, the likest first; points are complex numbers, x + iy, in pixels.

    Args:
        source: ``(m,)`` complex64 points of the one picture, which is mirrored where ``mirrored``.
        target: ``(m,)`` complex64 points of the other.
        turn: ``(m,)`` complex64: by how much a pair's target is larger (modulus) and turned (argument).
    """

    source: NDArray[np.complex64]
    target: NDArray[np.complex64]
    turn: NDArray[np.complex64]
    mirrored: bool


def correspondences(a: Features, b: Features, *, mirrored: bool) -> Correspondences:
    """Pair each feature of ``a`` with its nearest of ``b``, where that is clearly nearer than the second."""
    empty = np.empty(0, np.complex64)
    if len(a.points) < 2 or len(b.points) < 2:
        return Correspondences(source=empty, target=empty, turn=empty, mirrored=mirrored)
    rows = a.descriptors.take(_MIRROR, axis=1) if mirrored else a.descriptors
    cv2 = opencv()
    # OpenCV's product keeps to this thread; that of numpy starts as many as there are cores.
    products = cv2.gemm(rows, b.descriptors, 1.0, None, 0.0, flags=cv2.GEMM_2_T)  # (n, m)
    every = np.arange(len(products))
    best = products.argmax(axis=1)  # (n,)
    nearest = products[every, best]
    products[every, best] = -1
    second = products.max(axis=1)
    chosen = np.flatnonzero(1 - nearest < _RATIO**2 * (1 - second))
    # Few are left: only their columns are asked whether the row is their nearest, too.
    products[every, best] = nearest
    back = products.take(best[chosen], axis=1).argmax(axis=0)
    chosen = chosen[back == chosen]
    chosen = chosen[np.argsort(-nearest[chosen], kind="stable")[:_MOST]]
    source, target = a.points[chosen], b.points[best[chosen]]
    x, angle = source[:, 0], source[:, 3]
    if mirrored:
        x, angle = a.grey.shape[1] - 1 - x, 180 - angle
    turned = np.exp(1j * np.deg2rad(target[:, 3] - angle))
    return Correspondences(
        source=(x + 1j * source[:, 1]).astype(np.complex64),
        target=(target[:, 0] + 1j * target[:, 1]).astype(np.complex64),
        turn=(target[:, 2] / source[:, 2] * turned).astype(np.complex64),
        mirrored=mirrored,
    )

"""Put cosines of two spaces on one scale, so that a mixed gallery can be ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError, StoreCorrupt

_KNOTS = 64


@dataclass(frozen=True, slots=True)
class Calibration:
    """A piecewise linear map that never falls, from cosines of mapped queries with old rows to cosines in the new space.

    It matches distributions: a share of all pairs scores above ``new[i]`` in the new space as large as the share above
    ``old[i]`` across the two. So neither side of a mixed gallery crowds out the other, at any depth, whereas moments alone
    (a z-norm over random pairs) say nothing of the pairs that are found. -1 and 1 stay what they are. Two old rows never swap
    places; where many pairs score alike in the new space, different cosines become equal.

    Attributes:
        old, new: the knots, of equal number; ``old`` rises, ``new`` never falls.
    """

    old: tuple[float, ...] = (-1.0, 1.0)
    new: tuple[float, ...] = (-1.0, 1.0)

    def apply(self, scores: Any) -> NDArray[np.float32]:
        """Map cosines of any shape; -inf, the padding, stays."""
        given = np.asarray(scores, dtype=np.float32)
        mapped = np.interp(given, self.old, self.new).astype(np.float32)
        return np.where(np.isneginf(given), given, mapped)

    def to_json(self) -> dict[str, list[float]]:
        """Return the JSON object that the manifest keeps."""
        return {"old": list(self.old), "new": list(self.new)}

    @classmethod
    def from_json(cls, data: Any) -> Calibration:
        """Parse what `to_json` wrote.

        Raises:
            StoreCorrupt: not two rising lists of equal length.
        """
        try:
            old, new = (tuple(float(value) for value in data[name]) for name in ("old", "new"))
        except (TypeError, KeyError, ValueError) as error:
            raise StoreCorrupt(f"manifest: the calibration is not readable ({error!r})") from error
        if len(old) != len(new) or len(old) < 2 or (np.diff(old) <= 0).any() or (np.diff(new) < 0).any():
            raise StoreCorrupt("manifest: the calibration does not rise")
        return cls(old, new)


def fit(old: NDArray[np.floating[Any]], new: NDArray[np.floating[Any]]) -> Calibration:
    """Fit the map on the cosines of the same pairs, queries that were not fitted on with a sample of the gallery.

    Args:
        old: ``(q, g)`` mapped queries with old rows.
        new: ``(q, g)`` the same with new rows; ``q * g >= 2``.
    Raises:
        ShapeError: the shapes differ, or there are fewer than two pairs.
    """
    if old.shape != new.shape or old.size < 2:
        raise ShapeError(f"calibration: expected two equal (q, g) arrays, got {old.shape} and {new.shape}")
    # Closer and closer together towards the best pairs: those are what a search shows.
    tail = np.geomspace(1.0, 1.0 / old.size, _KNOTS)
    shares = np.clip(1 - tail, 0, 1)
    x = np.quantile(old.ravel(), shares).astype(np.float64)
    y = np.quantile(new.ravel(), shares).astype(np.float64)
    inside = (x > -1) & (x < 1)
    x, y = np.concatenate(([-1.0], x[inside], [1.0])), np.concatenate(([-1.0], y[inside], [1.0]))
    rising = np.concatenate(([True], np.diff(x) > 1e-6))
    rising[-1] = True
    if len(x) > 2 and x[-1] - x[-2] <= 1e-6:
        rising[-2] = False
    x, y = x[rising], np.clip(np.maximum.accumulate(y[rising]), -1, 1)
    return Calibration(tuple(x.tolist()), tuple(y.tolist()))

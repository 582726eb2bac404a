"""Read what was measured: the probability that two pictures are the same, and where relations are told apart."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.agreement import Agreement

__all__ = ["SIGNS", "Calibration", "Relation", "calibration", "signs", "terms"]

Relation = Literal["picture", "scene", "object", "none"]

SIGNS = (
    "share above 0.7", "share above 0.9", "share above 0.97", "third quartile", "median of those that agree",
    "cover of the one covered most", "cover of the other", "drift", "tone", "points", "share of points", "tiles",
    "stretch", "share above 0.97 of that above 0.7", "followed", "followed of the share above 0.7",
)  # fmt: skip
"""What the probability is computed from, in the order of its weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Numbers from `tools/fit_matching.py`.

    Args:
        means, spreads: of each of `SIGNS`.
        weights: of each of `terms`.
        bias: of the sum.
        knots: ``(k, 2)``: what the probability is at which sum.
        verified: probability from which two pictures are called the same.
        scene: extent of the agreement from which another exposure shows the same scene, and not only the same thing.
        points: pairs of points, below which nothing is said of scenes and objects.
    """

    means: NDArray[np.float64]
    spreads: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float
    knots: NDArray[np.float64]
    verified: float
    scene: float
    points: int

    def probability(self, pixels: Agreement, agreeing: int, pairs: int) -> float:
        """Return the probability that both are the same picture."""
        return self.of_signs(signs(pixels, agreeing, pairs))

    def of_signs(self, found: NDArray[np.float64]) -> float:
        """Return the probability for one row of `signs`."""
        scaled = np.clip((found - self.means) / self.spreads, -3, 3)
        logit = float(terms(scaled[None])[0] @ self.weights) + self.bias
        return float(np.interp(logit, self.knots[:, 0], self.knots[:, 1]))

    def relation(self, probability: float, pixels: Agreement, agreeing: int) -> Relation:
        """Return what the one is to the other."""
        if probability >= self.verified:
            return "picture"
        if agreeing < self.points:
            return "none"
        return "scene" if pixels.extent >= self.scene else "object"


def signs(pixels: Agreement, agreeing: int, pairs: int) -> NDArray[np.float64]:
    """Return `SIGNS` as numbers, ``(16,)``."""
    shown = pixels.shown
    if not len(shown):
        shown = np.zeros(1, np.float32)
    agree = shown[shown > 0.7]
    large, small = np.linalg.svd(pixels.matrix[:2, :2], compute_uv=False)
    return np.array(
        [
            (shown > 0.7).mean(),
            (shown > 0.9).mean(),
            (shown > 0.97).mean(),
            np.quantile(shown, 0.75),
            np.log(1.005 - float(np.median(agree)) if len(agree) else 1.0),
            max(pixels.cover),
            min(pixels.cover),
            pixels.drift,
            np.log(1.005 - pixels.tone),
            np.log1p(agreeing),
            agreeing / max(pairs, 1),
            np.log1p(len(pixels.shown)),
            np.log(large / small),
            (shown > 0.97).mean() / max((shown > 0.7).mean(), 0.02),
            pixels.followed,
            min(pixels.followed / max((shown > 0.7).mean(), 0.02), 2.0),
        ]
    )


def terms(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scaled signs ``(n, s)`` and all their products by twos, ``(n, s + s (s + 1) / 2)``."""
    one, other = np.triu_indices(scaled.shape[1])
    return np.concatenate([scaled, scaled[:, one] * scaled[:, other]], axis=1)


@functools.cache
def calibration() -> Calibration:
    """Return the shipped numbers."""
    facts = json.loads(files("retrieval.matching").joinpath("calibration.json").read_text())
    arrays: dict[str, Any] = {
        name: np.array(facts[name], np.float64) for name in ("means", "spreads", "weights", "knots")
    }
    numbers = {name: facts[name] for name in ("bias", "verified", "scene", "points")}
    return Calibration(**arrays, **numbers)

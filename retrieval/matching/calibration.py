"""Read what was measured: the probability that two pictures are the same, and where relations are told apart."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

Relation = Literal["picture", "scene", "object", "none"]

RELATIONS: Final[tuple[Relation, ...]] = ("picture", "scene", "object")
"""In the order of a network's outputs. Pictures of which nothing lies on the other have no signs."""

_FARTHEST: Final = 3.0  # spreads from the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of one hidden layer.

    Args:
        hidden: ``(s, h)`` weights of the signs, and its ``(h,)`` bias.
        output: ``(h, 3)`` weights of `RELATIONS`, and its ``(3,)`` bias.
    """

    hidden: NDArray[np.float64]
    hidden_bias: NDArray[np.float64]
    output: NDArray[np.float64]
    output_bias: NDArray[np.float64]

    def __call__(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of each relation's odds, but for a constant: ``(n, s)`` gives ``(n, 3)``."""
        inner = np.tanh(scaled @ self.hidden + self.hidden_bias)  # (n, h)
        return np.asarray(inner @ self.output + self.output_bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Numbers from `tools/fit_matching`.

    Args:
        means, spreads: of each of `SIGNS`.
        networks: whose mean counts.
        knots: ``(k, 2)``: the probability of ``picture`` at which logarithm of its odds.
        likely: probability from which two pictures are more likely the same than anything else.
        verified: probability from which they surely are.
        points: pairs of points, below which nothing is said of scenes and objects.
    """

    means: NDArray[np.float64]
    spreads: NDArray[np.float64]
    networks: tuple[Network, ...]
    knots: NDArray[np.float64]
    likely: float
    verified: float
    points: int

    def judged(self, found: NDArray[np.float64], agreeing: int) -> tuple[float, Relation]:
        """Return the probability that both are the same picture, and what the one is to the other, from their `signs`."""
        outputs = self.outputs(found[None])
        probability = float(np.interp(odds(outputs)[0], self.knots[:, 0], self.knots[:, 1]))
        if probability >= self.likely:
            return probability, "picture"
        if agreeing < self.points:
            return probability, "none"
        return probability, RELATIONS[1 + int(outputs[0, 1:].argmax())]

    def outputs(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of the networks' outputs for rows of `signs`, ``(n, 3)``."""
        scaled = self.scaled(found)
        return cast("NDArray[np.float64]", sum(one(scaled) for one in self.networks) / len(self.networks))

    def scaled(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows of `signs` as networks take them."""
        return np.clip((found - self.means) / self.spreads, -_FARTHEST, _FARTHEST)


def odds(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the odds of ``picture``, ``(n,)``, from a network's outputs."""
    others = outputs[:, 1:]
    most = others.max(axis=1)
    return np.asarray(outputs[:, 0] - most - np.log(np.exp(others - most[:, None]).sum(axis=1)))


@functools.cache
def calibration() -> Calibration:
    """Return the shipped numbers."""
    facts = json.loads(files("retrieval.matching").joinpath("calibration.json").read_text())
    return from_json(facts)


def from_json(facts: dict[str, Any]) -> Calibration:
    """Read the numbers that `tools/fit_matching` wrote."""
    arrays: dict[str, Any] = {
        name: np.array(facts[name], np.float64) for name in ("means", "spreads", "knots")
    }
    networks = tuple(
        Network(**{name: np.array(value, np.float64) for name, value in one.items()})
        for one in facts["networks"]
    )
    return Calibration(
        **arrays,
        networks=networks,
        likely=facts["likely"],
        verified=facts["verified"],
        points=facts["points"],
    )

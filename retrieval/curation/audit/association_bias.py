"""Measure whether images or words of one kind lie nearer to some words or images than those of another kind: association bias.

Source: A. Caliskan, J. Bryson, A. Narayanan, "Semantics derived automatically from language corpora contain human-like biases",
2017 (WEAT); R. Steed, A. Caliskan, "Image Representations Learned With Unsupervised Pre-Training Contain Human-like Biases", 2021.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection import Collection

AssociationSet = str | os.PathLike[str] | Sequence[Any]
"""Words with commas between them; a folder of the collection as a `Path`; or a list of queries."""

_EXACT: Final = 10_000
"""Divisions of both targets that are all tried; of more so many are drawn."""
_AT_ONCE: Final = 100
_DRAWS: Final = 2_000
_MOST: Final = 2_000
"""Images of a folder that are looked at, by chance."""
_SEED: Final = 2_021
_LEAST: Final = 1e-12
_NAME: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Whether the first target lies nearer to the first attribute than the second target does.

    Attributes:
        targets, attributes: names of both.
        sizes: of the four sets: targets, then attributes.
        effect: distance of both targets' mean association in standard deviations: 0.2 is small, 0.8 is large; negative the other way round.
        p: probability of such an effect, or more, if the targets were divided by chance; one-sided.
        interval: 95 % of the effects if members of the four sets are drawn anew.
        means: mean cosine of each target (row) with each attribute (column).
        found_first: for each attribute, the share of the first target among the half of all targets nearest to it.
        expected: that share if attributes made no difference.
    """

    targets: tuple[str, str]
    attributes: tuple[str, str]
    sizes: tuple[int, int, int, int]
    effect: float
    p: float
    interval: tuple[float, float]
    means: tuple[tuple[float, float], tuple[float, float]]
    found_first: tuple[float, float]
    expected: float

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {
            "targets": list(self.targets),
            "attributes": list(self.attributes),
            "sizes": list(self.sizes),
            "effect": round(self.effect, 4),
            "p": float(f"{self.p:.3g}"),
            "interval": [round(one, 4) for one in self.interval],
            "means": [[round(one, 4) for one in row] for row in self.means],
            "found_first": [round(one, 4) for one in self.found_first],
            "expected": round(self.expected, 4),
        }


def association(
    collection: Collection, targets: Sequence[AssociationSet], attributes: Sequence[AssociationSet]
) -> Association:
    """Measure association bias among vectors of a collection's encoder.

    Args:
        collection: an open one.
        targets: two sets, of two members at least: what is compared, such as photographs of two groups of people.
        attributes: two sets: what they may be near to, such as ``career, office`` and ``family, home``.
    Raises:
        OptionError: there are not two of each, or a set has too few members.
        CapabilityMissing: words, for an encoder without a text tower.
    """
    if len(targets) != 2 or len(attributes) != 2:
        raise OptionError(
            f"give two `targets` and two `attributes`, not {len(targets)} and {len(attributes)}"
        )
    x, y = (_vectors(collection, one, "targets", least=2) for one in targets)
    a, b = (_vectors(collection, one, "attributes", least=1) for one in attributes)
    return measure_association(
        (x, y),
        (a, b),
        names=((_name(targets[0]), _name(targets[1])), (_name(attributes[0]), _name(attributes[1]))),
    )


def measure_association(
    targets: tuple[Vectors, Vectors],
    attributes: tuple[Vectors, Vectors],
    *,
    names: tuple[tuple[str, str], tuple[str, str]],
) -> Association:
    """Measure the association of two targets with two attributes, all ``(n, d)`` unit rows, two of each target at least."""
    both = np.concatenate(targets)  # (x + y, d)
    near = [(both @ one.T).astype(np.float64) for one in attributes]  # (x + y, a), (x + y, b)
    size = len(targets[0])
    means = [one.mean(axis=1) for one in near]
    scores = means[0] - means[1]  # (x + y,)
    rng = np.random.default_rng(_SEED)
    first = [float((np.argsort(-one, kind="stable")[: (len(both) + 1) // 2] < size).mean()) for one in means]
    return Association(
        targets=names[0],
        attributes=names[1],
        sizes=(size, len(targets[1]), len(attributes[0]), len(attributes[1])),
        effect=_effect(scores, size),
        p=_probability(scores, size, rng),
        interval=_interval(near, size, rng),
        means=tuple(
            (float(means[0][part].mean()), float(means[1][part].mean()))
            for part in (slice(size), slice(size, None))
        ),  # type: ignore[arg-type] # two of them
        found_first=(first[0], first[1]),
        expected=size / len(both),
    )


def _effect(scores: NDArray[np.float64], size: int) -> float:
    spread = max(float(scores.std(ddof=1)), _LEAST)
    return float(scores[:size].mean() - scores[size:].mean()) / spread


def _probability(scores: NDArray[np.float64], size: int, rng: np.random.Generator) -> float:
    """Return the share of divisions into two such targets whose distance is as large; drawn ones count the given one, too."""
    least = scores[:size].sum() - 1e-9  # the sum of the first target orders divisions as the distance does
    if math.comb(len(scores), size) <= _EXACT:
        sums = np.array([scores[list(some)].sum() for some in combinations(range(len(scores)), size)])
        return float((sums >= least).mean())
    larger = 0
    for _ in range(_EXACT // _AT_ONCE):
        divided = rng.permuted(np.tile(scores, (_AT_ONCE, 1)), axis=1)[:, :size]  # (100, x)
        larger += int((divided.sum(axis=1) >= least).sum())
    return (larger + 1) / (_EXACT + 1)


def _interval(near: list[NDArray[np.float64]], size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the middle 95 % of the effects of sets whose members are drawn anew."""
    effects = np.empty(_DRAWS)
    rest = len(near[0]) - size
    for draw in range(_DRAWS):
        weights = [rng.multinomial(one.shape[1], np.full(one.shape[1], 1 / one.shape[1])) for one in near]
        scores = near[0] @ (weights[0] / near[0].shape[1]) - near[1] @ (weights[1] / near[1].shape[1])
        rows = np.concatenate([rng.integers(size, size=size), size + rng.integers(rest, size=rest)])
        effects[draw] = _effect(scores[rows], size)
    low, high = np.quantile(effects, (0.025, 0.975))
    return float(low), float(high)


def _vectors(collection: Collection, members: AssociationSet, what: str, *, least: int) -> Vectors:
    """Return the unit vectors of a set."""
    if isinstance(members, PurePath):
        ids = collection.row_ids(collection.mask(under=members))
        if len(ids) > _MOST:
            ids = np.sort(np.random.default_rng(_SEED).permutation(ids)[:_MOST])
        found: Vectors = collection.vectors(ids)
    else:
        queries = [part.strip() for part in members.split(",")] if isinstance(members, str) else list(members)  # type: ignore[arg-type]
        wanted = [one for one in queries if not (isinstance(one, str) and not one)]
        found = (
            np.concatenate([collection.encode(one) for one in wanted])
            if wanted
            else np.empty((0, 1), np.float32)
        )
    if len(found) < least:
        number = f"{len(found)} member{'' if len(found) == 1 else 's'}"
        raise OptionError(f"`{what}`: {_name(members)} has {number}; give {least} at least")
    return found


def _name(members: AssociationSet) -> str:
    parts = [members] if isinstance(members, str | PurePath) else list(members)  # type: ignore[arg-type]
    text = ", ".join(str(one) for one in parts)
    return text if len(text) <= _NAME else text[: _NAME - 1] + "…"

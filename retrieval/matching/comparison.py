"""Compare two pictures: are they the same picture, and how does one lie on the other?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.matching.agreement import Agreement, agreement
from retrieval.matching.calibration import Relation, calibration
from retrieval.matching.correspondences import correspondences
from retrieval.matching.geometry import Placement, corners, framed, placement
from retrieval.matching.local_features import Features
from retrieval.matching.signs import signs

Outline = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a comparison found.

    Args:
        verified: both surely show the same picture: one exposure, whatever was done to it afterwards. Of a million pairs that
            a search finds likest, about five are so and do not.
        probability: that they do, 0 to 1, calibrated on photographs.
        relation: what is likeliest: ``picture``; ``scene``, another exposure whose background agrees; ``object``, a thing that agrees while
            its surroundings do not; ``none``.
        outline: the corners of the first picture in the second, in the order top left, top right, bottom right, bottom left
            of the first; shares of the second's width and height, which leave 0…1 where the first is larger. None where
            the relation is ``none``.
        agreement: share of the overlap that agrees, 0 to 1.
        mirrored: the one is mirrored in the other.
    """

    verified: bool
    probability: float
    relation: Relation
    outline: Outline | None
    agreement: float
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One way in which a picture may lie on another, and how far their pixels agree then."""

    placed: Placement
    pixels: Agreement

    @property
    def signs(self) -> NDArray[np.float64]:
        """What the relation is computed from, `SIGNS`."""
        return signs(self.pixels, self.placed.agreeing, self.placed.pairs)


_CLEAR = 25
"""Pairs of points that agree, from which the picture lies so, and is not also tried mirrored."""

_NOTHING = Verdict(
    verified=False, probability=0.0, relation="none", outline=None, agreement=0.0, mirrored=False
)


def compare(a: Features, b: Features) -> Verdict:
    """Compare two pictures.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    known = calibration()
    found: list[tuple[float, Relation, Evidence]] = []
    for one in evidence(a, b):
        found.append((*known.judged(one.signs, one.placed.agreeing), one))
        if found[-1][0] >= known.verified:
            break
    if not found:
        return _NOTHING
    probability = max(one[0] for one in found)
    # Where it is not the picture, what most points agree on says what else it is.
    _, relation, best = max(
        found, key=lambda one: (one[0] if one[1] == "picture" else 0.0, one[2].placed.agreeing)
    )
    return Verdict(
        verified=probability >= known.verified,
        probability=probability,
        relation=relation,
        outline=None if relation == "none" else _outline(best, a, b),
        agreement=best.pixels.share,
        mirrored=best.placed.mirrored,
    )


def verified_from() -> float:
    """Return the probability from which two pictures are verified."""
    return calibration().verified


def evidence(a: Features, b: Features) -> Iterator[Evidence]:
    """Yield the ways in which one picture may lie on the other, each measured."""
    for placed in _placements(a, b):
        pixels = agreement(a, b, placed)
        if pixels is not None:
            yield Evidence(placed=placed, pixels=pixels)
        if placed.agreeing >= _CLEAR:
            break


def _placements(a: Features, b: Features) -> Iterator[Placement]:
    for mirrored in (False, True):
        found = placement(correspondences(a, b, mirrored=mirrored), a)
        if found is not None:
            yield found
    yield from framed(a, b)


def _outline(found: Evidence, a: Features, b: Features) -> Outline:
    matrix = found.pixels.matrix
    source = corners(a.grey.shape)
    moved = np.c_[source, np.ones(4)] @ matrix.T  # (4, 3)
    points = (moved[:, :2] / moved[:, 2:] + 0.5) / b.grey.shape[::-1]
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)

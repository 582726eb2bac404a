"""Compare two pictures: are they the same picture, and how does one lie on the other?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.matching.agreement import Agreement, agreement
from retrieval.matching.calibration import Relation, calibration
from retrieval.matching.correspondences import correspondences
from retrieval.matching.geometry import Placement, corners, framed, placement
from retrieval.matching.local_features import Features

__all__ = ["Evidence", "Outline", "Verdict", "compare", "evidence"]

Outline = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a comparison found.

    Args:
        verified: both show the same picture: one exposure, whatever was done to it afterwards.
        probability: that they do, 0 to 1, calibrated on photographs.
        relation: ``picture``; ``scene``, another exposure whose background agrees; ``object``, a thing that agrees while
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
    """One way in which a picture may lie on another, and what speaks for it."""

    placed: Placement
    pixels: Agreement
    probability: float


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
    found = _evidence(a, b)
    if not found:
        return _NOTHING
    known = calibration()
    best = max(found, key=lambda one: one.probability)
    if best.probability < known.verified:  # not the picture; what most points agree on says what else it is
        best = max(found, key=lambda one: one.placed.agreeing)
    probability = max(one.probability for one in found)
    relation = known.relation(probability, best.pixels, best.placed.agreeing)
    return Verdict(
        verified=relation == "picture",
        probability=probability,
        relation=relation,
        outline=None if relation == "none" else _outline(best, a, b),
        agreement=best.pixels.share,
        mirrored=best.placed.mirrored,
    )


def evidence(a: Features, b: Features) -> Evidence | None:
    """Return what speaks most for one picture in the other; None where nothing does."""
    return max(_evidence(a, b), key=lambda one: one.probability, default=None)


def _evidence(a: Features, b: Features) -> list[Evidence]:
    known = calibration()
    found: list[Evidence] = []
    for placed in _placements(a, b):
        pixels = agreement(a, b, placed)
        if pixels is None:
            continue
        probability = known.probability(pixels, placed.agreeing, placed.pairs)
        found.append(Evidence(placed=placed, pixels=pixels, probability=probability))
        if probability >= known.verified or placed.agreeing >= _CLEAR:
            break
    return found


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

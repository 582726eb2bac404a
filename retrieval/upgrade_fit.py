"""Fit maps from a new encoder's space to an old one's, and measure which of them keep the old gallery useful."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from indexes import alignment, calibration
from indexes.alignment import Probe, nearest, overlap, slerp
from indexes.arrays import unit_rows
from indexes.calibration import Calibration
from indexes.metrics import curve_area, regression_rate, update_gain
from indexes.transforms import Transform, procrustes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.arrays import Ids, Vectors
    from indexes.space import Space

Method: TypeAlias = Literal["auto", "prefix", "procrustes", "ridge", "lambda", "slerp"]
METHODS: tuple[str, ...] = ("prefix", "procrustes", "ridge", "lambda", "slerp")

K = 10
_TIMED = 200
_TOLERANCES = (1.0, 4.0, 12.0)  # of the softly orthogonal map
_POINTS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What the maps are fitted on: unit rows of the same things by both encoders; words may be missing.

    Attributes:
        old_space, new_space: the spaces.
        old, new: ``(n, d_old)`` and ``(n, d_new)``: images.
        words_old, words_new: ``(t, d_old)`` and ``(t, d_new)``: texts, None unless both encoders read words.
    """

    old_space: Space
    new_space: Space
    old: Vectors
    new: Vectors
    words_old: Vectors | None = None
    words_new: Vectors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One way to ask the old gallery with the new encoder.

    Attributes:
        method: its name.
        image, text: maps of queries by image and by words, new space to old; no ``text`` where words were not fitted.
        back: the map from the old space to the new one: where an image is expected there.
        alpha: for ``slerp``: the share of the mapped query, the rest is the old encoder's own; None otherwise.
    """

    method: str
    image: Transform
    back: Transform
    text: Transform | None = None
    alpha: float | None = None

    def queries(self, new: Vectors, old: Vectors | None, *, words: bool = False) -> Vectors:
        """Return ``(q, d_old)`` unit rows to ask the old gallery with.

        Args:
            new: ``(q, d_new)`` the queries by the new encoder.
            old: ``(q, d_old)`` the same by the old one; only ``slerp`` uses it, and without it maps alone.
            words: they are words.
        """
        step = self.text if words and self.text is not None else self.image
        moved = new @ step.matrix  # not `apply`, which would check again what an encoder's gate has checked
        if step.offset is not None:
            moved += step.offset
        mapped = unit_rows(moved, what="mapped queries")
        return mapped if self.alpha is None or old is None else slerp(old, mapped, self.alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How well a fitted map does on images that it was not fitted on; the contract's keys.

    Attributes:
        old_old, new_old, new_new: share of queries whose first hit is right: query by … / gallery by ….
        gain: share of the full re-encode's gain that is had without it; None where the new encoder is no better.
        regression_rate: share of queries right before and wrong after.
        map_microseconds: time to map one query, one thread; what a second encoder costs is not in it.
        text_old_old, text_new_old: share of the new encoder's own ten best for words that the old one finds, and that
            mapped words find in the old gallery; None without words.
    """

    method: str
    old_old: float
    new_old: float
    new_new: float
    gain: float | None
    regression_rate: float
    map_microseconds: float
    text_old_old: float | None = None
    text_new_old: float | None = None

    @property
    def compatible(self) -> bool:
        """Say whether new queries find more in the old gallery than old ones do (Shen et al. 2020, BCT)."""
        return self.new_old > self.old_old


def fit(pairs: Pairs, select: Probe, *, method: str, extends: bool) -> tuple[list[Fitted], dict[str, str]]:
    """Fit every method that applies; return them, and why others do not.

    Args:
        pairs: what to fit on.
        select: queries to choose settings by; not among the pairs.
        method: ``auto`` fits all; a name fits that one beside the baselines ``procrustes`` and ``ridge``.
        extends: the new encoder was trained to extend the old space.
    """
    source, target = pairs.new_space, pairs.old_space
    back = alignment.best_ridge(
        target,
        source,
        pairs.old,
        pairs.new,
        score=lambda step: float(
            np.einsum("gd,gd->g", step.apply(select.gallery_old), select.gallery_new).mean()
        ),
    )
    turned = procrustes(source, target, pairs.new, pairs.old)
    wanted = set(METHODS) if method == "auto" else {method, "procrustes", "ridge"}
    left_out: dict[str, str] = {}
    steps: list[tuple[str, Transform, float | None]] = []
    if extends:
        steps.append(("prefix", alignment.extension(source, target), None))
    elif "prefix" in wanted:
        left_out["prefix"] = f"{source.name} was not trained to extend {target.name}"
    steps.append(("procrustes", turned, None))
    steps.append(
        (
            "ridge",
            alignment.best_ridge(
                source, target, pairs.new, pairs.old, score=lambda step: select.score(step.apply(select.new))
            ),
            None,
        )
    )
    if "lambda" in wanted:
        steps.append(("lambda", _lambda(pairs, select, turned), None))
    if "slerp" in wanted and len(select.old):
        aligned = turned.apply(select.new)
        steps.append(("slerp", turned, alignment.best_alpha(select.old, aligned, score=select.score)))
    return [
        Fitted(method=name, image=step, back=back, text=_text(step, pairs, select), alpha=alpha)
        for name, step, alpha in steps
    ], left_out


def _lambda(pairs: Pairs, select: Probe, turned: Transform) -> Transform:
    """Fit the softly orthogonal map, with the tolerance that does best."""
    steps = [
        alignment.lambda_orthogonal(
            pairs.new_space,
            pairs.old_space,
            pairs.new,
            pairs.old,
            start=turned.matrix,
            tolerance=tolerance,
        )
        for tolerance in _TOLERANCES
    ]
    return max(steps, key=lambda step: select.score(step.apply(select.new)))


def _text(step: Transform, pairs: Pairs, select: Probe) -> Transform | None:
    """Return the map for words: the images' own, the same about the words' means, or one fitted on words too.

    Chosen by what half of the phrases find: the other half's means and pairs are fitted on.
    """
    x, y = pairs.words_new, pairs.words_old
    if x is None or y is None or step.method == "prefix":
        return None
    fit_x, fit_y, held = x[::2], y[::2], x[1::2]
    truth = nearest(held, select.gallery_new, k=K)
    options = [step, alignment.recentred(step, fit_x, fit_y)]
    if step.method == "ridge":
        # Few texts beside many images: each counts more, so that both are fitted.
        weight = max(1, len(pairs.new) // (4 * len(fit_x)))
        both = [np.concatenate([a, *[b] * weight]) for a, b in ((pairs.new, fit_x), (pairs.old, fit_y))]
        strength = float(step.facts["strength"])
        joint = alignment.ridge(pairs.new_space, pairs.old_space, *both, strength=strength)
        options += [joint, alignment.recentred(joint, fit_x, fit_y)]
    return max(
        options, key=lambda option: overlap(nearest(option.apply(held), select.gallery_old, k=K), truth)
    )


def measure(
    fitted: Sequence[Fitted], probe: Probe, *, words_old: Vectors | None, words_new: Vectors | None
) -> list[Measured]:
    """Measure each on queries that nothing was fitted on or chosen by.

    Args:
        fitted: what `fit` returned.
        probe: the held-out queries.
        words_old, words_new: held-out texts ``(t, d)`` by both encoders.
    """
    old = probe.right(probe.old, probe.gallery_old)  # (q,)
    best = probe.right(probe.new, probe.gallery_new)  # (q,)
    text_old = truth = None
    if words_old is not None and words_new is not None:
        truth = nearest(words_new, probe.gallery_new, k=K)
        text_old = overlap(nearest(words_old, probe.gallery_old, k=K), truth)
    measured = []
    for way in fitted:
        right = probe.right(way.queries(probe.new, probe.old), probe.gallery_old)
        text = None
        if words_new is not None and truth is not None:
            asked = way.queries(words_new, words_old, words=True)
            text = overlap(nearest(asked, probe.gallery_old, k=K), truth)
        measured.append(
            Measured(
                method=way.method,
                old_old=float(old.mean()),
                new_old=float(right.mean()),
                new_new=float(best.mean()),
                gain=update_gain(
                    old_old=float(old.mean()), new_old=float(right.mean()), new_new=float(best.mean())
                ),
                regression_rate=regression_rate(old, right),
                map_microseconds=_microseconds(way, probe),
                text_old_old=text_old,
                text_new_old=text,
            )
        )
    return measured


def _microseconds(way: Fitted, probe: Probe) -> float:
    """Return the median time to map one query."""
    taken = []
    for number in range(_TIMED):
        place = number % max(len(probe.new), 1)
        one, old = probe.new[place : place + 1], probe.old[place : place + 1]
        began = time.perf_counter()
        way.queries(one, old)
        taken.append(time.perf_counter() - began)
    return round(float(np.median(taken)) * 1e6, 2)


def calibrate(
    way: Fitted, probe: Probe, *, words_old: Vectors | None, words_new: Vectors | None
) -> dict[str, Calibration]:
    """Fit the scales of queries by image and by words on held-out queries, over all pairs with the sample."""
    pairs = [("image", way.queries(probe.new, probe.old), probe.new)]
    if words_new is not None:
        pairs.append(("text", way.queries(words_new, words_old, words=True), words_new))
    found = {}
    for name, mapped, new in pairs:
        old_scores, new_scores = mapped @ probe.gallery_old.T, new @ probe.gallery_new.T  # (q, g)
        if probe.labels is not None and name == "image":  # a query is itself a row: that pair is no answer
            rest = np.ones(old_scores.shape, dtype=np.bool_)
            rest[np.arange(len(probe.target)), probe.target] = False
            old_scores, new_scores = old_scores[rest], new_scores[rest]
        found[name] = calibration.fit(old_scores, new_scores)
    return found


def backfill_curve(
    way: Fitted, probe: Probe, order: Ids, scale: Calibration, *, points: int = _POINTS
) -> dict[str, Any]:
    """Measure quality against the share re-encoded, in the given order and in random order.

    Args:
        way: the chosen map.
        probe: held-out queries.
        order: ``(g,)`` gallery rows, the first to be re-encoded first.
        scale: of the old side's scores.
        points: shares measured, 0 and 1 among them.
    Returns:
        ``share``, ``ordered``, ``random`` (lists) and the mean heights ``area`` and ``area_random``.
    """
    mapped = way.queries(probe.new, probe.old)
    old_scores, new_scores = scale.apply(mapped @ probe.gallery_old.T), probe.new @ probe.gallery_new.T
    shares = np.linspace(0, 1, points)
    curves: dict[str, list[float]] = {}
    mixed = np.random.default_rng(0).permutation(len(order))
    for name, ranking in (("ordered", order), ("random", mixed)):
        heights = []
        for share in shares:
            renewed = np.zeros(len(order), dtype=np.bool_)
            renewed[ranking[: round(share * len(order))]] = True
            heights.append(_height(np.where(renewed, new_scores, old_scores), probe))
        curves[name] = [round(height, 6) for height in heights]
    return {
        "share": [round(float(share), 4) for share in shares],
        **curves,
        "area": curve_area(shares, np.array(curves["ordered"])),
        "area_random": curve_area(shares, np.array(curves["random"])),
    }


def _height(scores: Any, probe: Probe) -> float:
    if probe.labels is None:
        return float((scores.argmax(axis=1) == probe.target).mean())
    scores[np.arange(len(probe.target)), probe.target] = -np.inf
    return float((probe.labels[scores.argmax(axis=1)] == probe.labels[probe.target]).mean())

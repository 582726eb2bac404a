"""Measure how well fitted maps find the old gallery."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.migration import Calibration, Probe, calibration, nearest, overlap
from indexes.vectors import curve_area, regression_rate, update_gain
from retrieval.collection import Fitted
from retrieval.upgrades.trial.maps import EXTENDING, K
from retrieval.upgrades.trial.mixed_galleries import MixedGalleries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.migration import Background
    from indexes.vectors import Bitmap, Vectors
    from retrieval.upgrades.trial.questions import Questions
    from retrieval.upgrades.trial.sample import Others

_TIMED = 200
_MOST_ASKED = 2_000
_BLOCK = 256
POINTS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How well a fitted map does on images that it was not fitted on; the contract's keys.

    Attributes:
        old_old, new_old, new_new: share of queries whose first hit is right: query by … / gallery by ….
        gain: share of the full re-encode's gain that is had without it; None where the new encoder is no better.
        regression_rate: share of queries right before and wrong after.
        map_microseconds: time to map one query, one thread; what a second encoder costs is not in it.
        compatible: new queries find more in the old gallery than old ones do (Shen et al. 2020, BCT), also in a gallery that is as full
            as the one that answers: among few images a map that blurs loses less. There a few more or less are found by chance,
            and a map that loses would lose from the first query on: so, of all queries that nothing was fitted on, those
            won must exceed those lost by a standard error at least. What an encoder brings with it must find as many as before. Where
            both encoders ask, the sample's rows answer as new ones here, as they do from the first query on.
        finds_itself: share of queries that find the image that they were made of first in the old gallery, before any other: a map may
            keep what kind of thing is shown, and lose which picture it is.
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
    compatible: bool
    finds_itself: float
    text_old_old: float | None = None
    text_new_old: float | None = None


def measure(
    fitted: Sequence[Fitted],
    probe: Probe,
    *,
    select: Probe,
    others: Others | None = None,
    words_old: Vectors | None,
    words_new: Vectors | None,
) -> list[Measured]:
    """Measure each on queries that nothing was fitted on or chosen by.

    Args:
        fitted: what `fit` returned.
        probe: the held-out queries.
        select: those that settings were chosen by; they count for what is compatible, as does every other row of the gallery that has
            a label.
        others: old rows that stand beside the gallery for what is compatible.
        words_old, words_new: held-out texts ``(t, d)`` by both encoders.
    """
    old = probe.right(probe.old, probe.gallery_old)  # (q,)
    best = probe.right(probe.new, probe.gallery_new)  # (q,)
    unfitted = (probe, select) if probe.labels is None else (_of_every_row(probe),)
    full = [_filled(part, others) for part in unfitted]
    before = [part.right(part.old, part.gallery_old) for part in full]
    text_old = truth = None
    if words_old is not None and words_new is not None:
        truth = nearest(words_new, probe.gallery_new, k=K)
        text_old = overlap(nearest(words_old, probe.gallery_old, k=K), truth)
    measured = []
    for way in fitted:
        mapped = way.queries(probe.new, probe.old)
        right = probe.right(mapped, probe.gallery_old)
        after = (
            [part.right(way.queries(part.new, part.old), part.gallery_old) for part in full]
            if way.alpha is None or others is None
            else _right_at_the_start(way, unfitted, select, others)
        )
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
                compatible=(
                    bool(right.mean() >= old.mean())
                    if way.method in EXTENDING
                    else bool(right.mean() > old.mean())
                    and _clearly_more(np.concatenate(before), np.concatenate(after))
                ),
                finds_itself=float(probe.itself(mapped, probe.gallery_old).mean()),
                text_old_old=text_old,
                text_new_old=text,
            )
        )
    return measured


def compare_encoders(questions: Questions) -> tuple[float, float, int]:
    """Measure what either encoder finds by itself, on every image of the sample that can ask: no map takes part, so none is held out.

    Returns:
        shares of queries whose first hit is right, by the old encoder in its gallery and by the new one in its own; and how many.
    """
    whole = questions.whole
    old, new = whole.right(whole.old, whole.gallery_old), whole.right(whole.new, whole.gallery_new)
    return float(old.mean()), float(new.mean()), len(old)


def _filled(probe: Probe, others: Others | None) -> Probe:
    """Return queries with more old rows in their gallery; nothing of the new space may be asked of it."""
    if others is None or not len(others.rows):
        return probe
    gallery = np.concatenate((probe.gallery_old, others.rows))
    labels = None
    if probe.labels is not None and others.labels is not None:
        labels = np.concatenate((probe.labels, others.labels))
    return replace(probe, gallery_old=gallery, gallery_new=gallery, labels=labels)


def _of_every_row(probe: Probe) -> Probe:
    """Return queries by every row of a gallery with labels, `_MOST_ASKED` at most: no map that is measured was fitted on one of them."""
    asked = np.random.default_rng(0).permutation(len(probe.gallery_old))[:_MOST_ASKED]
    return replace(probe, old=probe.gallery_old[asked], new=probe.gallery_new[asked], target=asked)


def _right_at_the_start(way: Fitted, probes: Sequence[Probe], select: Probe, others: Others) -> list[Bitmap]:
    """Return what both encoders find while the sample's rows are the only new ones, ``(q,)`` flags of each probe's queries.

    Args:
        way: asks with both.
        probes: of one gallery; a query's own row is an old one.
        select: queries that settings are chosen by.
        others: old rows; as many of the probes' gallery are new ones as its share says.
    """
    background = background_of(way, select, old=select.gallery_old, new=select.gallery_new)
    count = len(select.gallery_old)
    renewed = np.arange(count) < round(others.share * (count + len(others.rows)))
    return [
        np.concatenate(
            [
                _right_in_a_mixture(
                    way, _part(probe, slice(start, start + _BLOCK)), background, renewed, others
                )
                for start in range(0, len(probe.target), _BLOCK)
            ]
        )
        for probe in probes
    ]


def _right_in_a_mixture(
    way: Fitted, probe: Probe, background: Background, renewed: Bitmap, others: Others
) -> Bitmap:
    """Return ``(q,)`` flags of what is right in a gallery with ``renewed`` rows ``(g,)``, and others behind it."""
    mapped = way.queries(probe.new, probe.old)
    before, after = background.scores(mapped, probe.new, probe.gallery_old, probe.gallery_new)
    scores = np.hstack((np.where(renewed, after, before), background.before(mapped, probe.new, others.rows)))
    own = np.arange(len(probe.target)), probe.target
    labels = probe.labels
    if labels is None or others.labels is None:
        scores[own] = before[own]
        found: Bitmap = scores.argmax(axis=1) == probe.target
    else:
        scores[own] = -np.inf
        of = np.concatenate((labels, others.labels))
        found = of[scores.argmax(axis=1)] == labels[probe.target]
    return found


def _part(probe: Probe, part: slice) -> Probe:
    """Return some of a probe's queries."""
    return replace(probe, old=probe.old[part], new=probe.new[part], target=probe.target[part])


def _clearly_more(before: Bitmap, after: Bitmap) -> bool:
    """Say whether more is right after than before, by a standard error of the difference or more; flags ``(q,)``."""
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return won > lost and won - lost >= math.sqrt(won + lost)


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


def background_of(way: Fitted, select: Probe, *, old: Vectors, new: Vectors) -> Background:
    """Return what both sides' scores are put on one scale by; its settings are chosen by what queries find.

    Args:
        way: the chosen map.
        select: queries that settings are chosen by.
        old, new: ``(n, d_old)`` and ``(n, d_new)`` the sample.
    """
    galleries = MixedGalleries(select, old=old, new=new, by_both=way.alpha is not None)
    return galleries.background(way.queries(select.new, select.old))


def backfill_curve(way: Fitted, probe: Probe, background: Background) -> dict[str, Any]:
    """Measure quality against the share re-encoded, in random order; at the end the collection has switched over.

    Args:
        way: the chosen map.
        probe: held-out queries.
        background: what both sides' scores are put on one scale by.
    Returns:
        ``share`` and ``random`` (lists) and the mean height ``area_random``.
    """
    mapped = way.queries(probe.new, probe.old)
    old_scores, new_scores = background.scores(mapped, probe.new, probe.gallery_old, probe.gallery_new)
    shares = np.linspace(0, 1, POINTS)
    mixed = np.random.default_rng(0).permutation(len(probe.gallery_old))
    heights = []
    for share in shares[:-1]:
        renewed = np.zeros(len(mixed), dtype=np.bool_)
        renewed[mixed[: round(share * len(mixed))]] = True
        heights.append(_height(np.where(renewed, new_scores, old_scores), probe))
    heights.append(_height(probe.new @ probe.gallery_new.T, probe))
    return {
        "share": [round(float(share), 4) for share in shares],
        "random": [round(height, 6) for height in heights],
        "area_random": curve_area(shares, np.array(heights)),
    }


def _height(scores: Any, probe: Probe) -> float:
    if probe.labels is None:
        return float((scores.argmax(axis=1) == probe.target).mean())
    scores[np.arange(len(probe.target)), probe.target] = -np.inf
    return float((probe.labels[scores.argmax(axis=1)] == probe.labels[probe.target]).mean())

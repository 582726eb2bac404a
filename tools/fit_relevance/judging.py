"""Measure how well present and absent things are told apart, and how well calibrated the probability is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.relevance import FIRST, LINE, calibration_error, cross_fitted
from tools.fit_relevance.asking import Asked

DRAWS = 400
SHARE = 0.1


def judge(asked: Sequence[Asked]) -> dict[str, Any]:
    """Judge trials of one kind, each domain by a calibration fitted on the others.

    Returns:
        ``covered`` and ``not covered`` by the background: the calibration error over all hits, each thing weighing the same;
        and of the whole domains, where ten photographs at least show what is asked for: the area under the curve of present
        against absent, the share of absent queries that is flagged while a tenth of the present ones is, the same of the
        best score alone, each with an interval over things; how many present ones had a right hit at all, and how many of
        either are told to have likely nothing, since their first hit lies behind the line.
    """
    trials = [one.trial for one in asked]
    probabilities = cross_fitted(trials, [one.domain for one in asked])
    facts: dict[str, Any] = {}
    for covered in (True, False):
        use = [i for i, one in enumerate(asked) if one.covered == covered]
        facts["covered" if covered else "not covered"] = {
            "error": round(_error([asked[i] for i in use], [probabilities[i] for i in use]), 4),
            "domains": {
                domain: round(
                    _error(
                        *_of([asked[i] for i in use], [probabilities[i] for i in use], domain),
                    ),
                    4,
                )
                for domain in dict.fromkeys(one.domain for one in asked)
            },
            **_told_apart(
                [asked[i] for i in use if asked[i].whole], [probabilities[i] for i in use if asked[i].whole]
            ),
        }
    return facts


def _of(
    asked: list[Asked], found: list[NDArray[np.float64]], domain: str
) -> tuple[list[Asked], list[NDArray[np.float64]]]:
    some = [i for i, one in enumerate(asked) if one.domain == domain]
    return [asked[i] for i in some], [found[i] for i in some]


def _error(asked: Sequence[Asked], found: Sequence[NDArray[np.float64]]) -> float:
    names = [one.trial.name for one in asked]
    _, places, counts = np.unique(np.array(names), return_inverse=True, return_counts=True)
    weights = np.repeat(1 / counts[places], [len(one) for one in found])
    return calibration_error(
        np.concatenate(found), np.concatenate([one.trial.right for one in asked]), weights
    )


def _told_apart(asked: Sequence[Asked], found: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    present = np.array([one.trial.present for one in asked])
    names = np.array([one.trial.name for one in asked])
    ours = np.array([one[:FIRST].mean() for one in found])
    best = np.array([one.trial.signals.query[0] + one.trial.signals.rows[0, 0] for one in asked])
    right = np.array([bool(one.trial.right.any()) for one in asked])
    return {
        "things": len(set(names.tolist())),
        "nothing_if_present": round(float(np.mean([one[0] < LINE for one in _of_kind(found, present)])), 3),
        "nothing_if_absent": round(float(np.mean([one[0] < LINE for one in _of_kind(found, ~present)])), 3),
        "found_if_present": round(float(right[present].mean()), 3),
        "auroc": _interval(area, ours, present, names),
        "flagged": _interval(flagged, ours, present, names),
        "auroc_any_right_hit": round(area(ours, right), 3),
        "best_score_auroc": _interval(area, best, present, names),
        "best_score_flagged": _interval(flagged, best, present, names),
    }


def _of_kind(found: Sequence[NDArray[np.float64]], kind: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    return [one for one, wanted in zip(found, kind.tolist(), strict=True) if wanted]


def _interval(
    measure: Callable[[NDArray[np.float64], NDArray[np.bool_]], float],
    scores: NDArray[np.float64],
    present: NDArray[np.bool_],
    names: NDArray[np.str_],
) -> list[float]:
    """Return a measure and its 95 % interval over things, drawn with replacement."""
    numbers = np.random.default_rng(0)
    places = [np.flatnonzero(names == name) for name in np.unique(names)]
    drawn = []
    for _ in range(DRAWS):
        rows = np.concatenate([places[i] for i in numbers.integers(len(places), size=len(places))])
        drawn.append(measure(scores[rows], present[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [round(float(one), 3) for one in (measure(scores, present), low, high)]


def area(scores: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Return how often a present query has a higher score than an absent one, 0 to 1; ties count half."""
    yes, no = scores[present], np.sort(scores[~present])
    below = np.searchsorted(no, yes, side="left") + np.searchsorted(no, yes, side="right")
    return float(below.mean() / 2 / len(no))


def flagged(scores: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Return which share of absent queries lies below the lowest tenth of the present ones, 0 to 1."""
    return float((scores[~present] < np.quantile(scores[present], SHARE)).mean())

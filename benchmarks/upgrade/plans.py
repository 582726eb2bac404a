"""Measure what users get between real encoders: the plan that `upgrade` takes, beside each kind of way if it is forced.

The library's own trial is run on a fifth of the gallery, with labels, and chooses. Photographs that it never saw ask: labelled ones
(1-NN accuracy), and crops of gallery photographs (recall@10). The curve starts with the sample's rows, which count as encoded again,
and ends after the switch, with plain cosines of the new encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import save, spread, watch
from benchmarks.upgrade.pairs import SAMPLE, SHARES, Asked, Encoded, drawn_pairs, extension
from benchmarks.upgrade.photographs import QUERIES, photographs
from indexes.migration import Background
from indexes.vectors import Space, one_blas_thread
from retrieval.collection import Fitted
from retrieval.upgrades.start.plan import REENCODE, best_of
from retrieval.upgrades.trial.measurement import background_of, compare_encoders
from retrieval.upgrades.trial.questions import questions_of
from retrieval.upgrades.trial.sample import Others, Sample
from retrieval.upgrades.trial.trial import Trial, try_methods

ONE, BOTH, PLAN = "one encoder, forced", "both encoders, forced", "the plan taken"


@dataclass(frozen=True, slots=True)
class _Named:
    """Stands in for an encoder, of which a trial with labels asks for the space alone."""

    space: Space


def one(names: tuple[str, str], old: Encoded, new: Encoded, asked: Asked, *, seed: int) -> dict[str, Any]:
    """Run the trial of one pair with one draw of the sample, and measure its plan and the forced ways."""
    count = len(asked.gallery)
    order = np.random.default_rng(seed).permutation(count)
    sample = order[: round(SAMPLE * count)]
    trial = _trial(names, old, new, asked, sample)
    best = {
        ONE: _best(trial, [way for way in trial.ways if way.alpha is None]),
        BOTH: next(way for way in trial.ways if way.alpha is not None),
    }
    old_finds, new_finds, _ = compare_encoders(trial.questions)
    compatible = [pair for pair in zip(trial.ways, trial.measured, strict=True) if pair[1].compatible]
    taken = best_of(compatible)[0] if compatible and new_finds >= old_finds else None
    plan = taken.method if taken is not None else REENCODE if new_finds > old_finds else "none"

    def curves_of(way: Fitted) -> dict[str, Any]:
        select = trial.questions.select
        background = background_of(way, select, old=old.gallery[sample], new=new.gallery[sample])
        return _curves(trial.final(way), background, old, new, asked, order)

    found = {name: curves_of(way) for name, way in best.items()}
    kind = None if taken is None else BOTH if taken.alpha is not None else ONE
    if kind is not None and best[kind] is taken:
        found[PLAN] = found[kind]
    else:
        found[PLAN] = _behind_the_old(old, new, asked) if taken is None else curves_of(taken)
    old_old, new_new = _old_old(old, asked), _new_new(new, asked)
    return {
        "seed": seed,
        "old_old": old_old,
        "new_new": new_new,
        "plan": plan,
        "ways": {name: _judged(facts, old_old, new_new) for name, facts in found.items()},
    }


def _trial(
    names: tuple[str, str], old: Encoded, new: Encoded, asked: Asked, sample: NDArray[np.int64]
) -> Trial:
    encoders: Any = [
        _Named(Space(name=name, dim=rows.gallery.shape[1], fingerprint=name))
        for name, rows in zip(names, (old, new), strict=True)
    ]
    taken = Sample(ids=sample, old=old.gallery[sample], new=new.gallery[sample], gone=0, unreadable=0)
    label_of = {int(place): int(asked.gallery[place]) for place in sample}
    rest = np.setdiff1d(np.arange(len(asked.gallery)), sample)
    questions = questions_of(taken, [], label_of, old=None, new=encoders[1], fits=False, progress=None)
    return try_methods(
        taken,
        questions,
        method="auto",
        extends=extension(names),
        old=encoders[0],
        new=encoders[1],
        old_space=encoders[0].space,
        others=Others(rows=old.gallery[rest], labels=asked.gallery[rest], share=SAMPLE),
    )


def _best(trial: Trial, ways: Sequence[Fitted]) -> Fitted:
    pairs = zip(trial.ways, trial.measured, strict=True)
    return best_of([pair for pair in pairs if any(pair[0] is way for way in ways)])[0]


def _curves(
    way: Fitted,
    background: Background,
    old: Encoded,
    new: Encoded,
    asked: Asked,
    order: NDArray[np.int64],
) -> dict[str, Any]:
    """Return quality at each share of a backfill in random order."""
    queries = background.scores(way.queries(new.queries, old.queries), new.queries, old.gallery, new.gallery)
    crops = background.scores(way.queries(new.crops, old.crops), new.crops, old.gallery, new.gallery)
    whole = _whole(new, asked)
    heights, kept = [], []
    for share in SHARES[:-1]:
        renewed = np.zeros(len(order), dtype=np.bool_)
        renewed[order[: round(share * len(order))]] = True
        heights.append(asked.accuracy(np.where(renewed, queries[1], queries[0])))
        kept.append(asked.recall(np.where(renewed, crops[1], crops[0])) / whole)
    return {
        "method": way.method,
        "alpha": way.alpha,
        "old_weight": background.old_weight,
        "spread_of_both": background.spread_of_both,
        "stretch": background.stretch,
        "curve": [*heights, _new_new(new, asked)],
        "crops_kept_curve": [*kept, 1.0],
    }


def _behind_the_old(old: Encoded, new: Encoded, asked: Asked) -> dict[str, Any]:
    """Return the curve of `reencode`: the old encoder answers until the last row."""
    share = asked.recall(old.crops @ old.gallery.T) / _whole(new, asked)
    before = len(SHARES) - 1
    return {
        "method": REENCODE,
        "curve": [_old_old(old, asked)] * before + [_new_new(new, asked)],
        "crops_kept_curve": [share] * before + [1.0],
    }


def _old_old(old: Encoded, asked: Asked) -> float:
    return asked.accuracy(old.queries @ old.gallery.T)


def _new_new(new: Encoded, asked: Asked) -> float:
    return asked.accuracy(new.queries @ new.gallery.T)


def _whole(new: Encoded, asked: Asked) -> float:
    return asked.recall(new.crops @ new.gallery.T)


def _judged(facts: dict[str, Any], old_old: float, new_new: float) -> dict[str, Any]:
    curve, kept = facts["curve"], facts["crops_kept_curve"]
    return facts | {
        "start": curve[0],
        "share": (curve[0] - old_old) / (new_new - old_old) if new_new - old_old >= 0.05 else None,
        "deepest_fall": curve[0] - min(curve),
        "crops_kept": min(kept),
    }


@one_blas_thread()
def plans(data: Path, work: Path, *, seeds: int, pairs: Sequence[tuple[str, ...]] | None = None) -> None:
    """Measure pairs whose rows ``work`` holds or gets; draws are kept there, remove ``work/plans`` to measure anew."""
    seen = photographs(data)
    asked = Asked.of(seen)
    results = []
    with watch() as load:
        draws = drawn_pairs(
            one, seen, asked, data=data, kept=work / "plans", seeds=seeds, wanted=pairs or None
        )
        for names, runs in draws:
            results.append({"old": names[0], "new": names[1], **_summary(runs), "runs": runs})
            _report(results[-1])
    save(
        "upgrade_plans",
        load=load,
        parameters={"gallery": len(asked.gallery), "queries": QUERIES, "sample": SAMPLE, "seeds": seeds},
        pairs=results,
    )


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians and spreads of a pair's draws."""
    ways = {
        name: {
            key: spread([float(run["ways"][name][key]) for run in runs])
            for key in ("start", "share", "deepest_fall", "crops_kept")
            if runs[0]["ways"][name][key] is not None
        }
        for name in (PLAN, ONE, BOTH)
    }
    facts = {key: spread([float(run[key]) for run in runs]) for key in ("old_old", "new_new")}
    return {**facts, "plans": [run["plan"] for run in runs], "ways": ways}


def _report(result: dict[str, Any]) -> None:
    print(
        f"{result['old']} -> {result['new']}: old/old {result['old_old'].median:.3f}, new/new {result['new_new'].median:.3f}, "
        f"plans {result['plans']}"
    )
    for name, facts in result["ways"].items():
        told = ", ".join(
            f"{key} {value.median:.3f} ({value.min:.3f} to {value.max:.3f})" for key, value in facts.items()
        )
        print(f"  {name}: {told}", flush=True)

"""Plan a funnel from measured recall: its shortlist sizes and prefix widths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from indexes.engine import K, Questions, Trial, Tuned, costs, passes, without
from indexes.search import Funnel, Stage, Stages, from_json, middles_of, rotated_prefixes
from indexes.vectors import Bitmap, Halves, Space, Vectors, recall_of_each

SHORTLISTS = (20, 40, 80, 160, 320, 640, 1280, 2560, 5120)
_STEPS = (0.6, 0.8)  # of the shortlist that suffices: does less do?
_SHARES = (2, 4, 8)  # of the first shortlist that the second stage hands on: one in so many
_MISSED = (0.001, 0.005, 0.02)  # of the true neighbours whose score rises by more than the margin
_COUNTED = 64  # queries whose candidates are counted where they may stop early


def measure(
    funnel: Funnel, questions: Mapping[str, Questions], stages: Stages, *, keep: Bitmap | None = None
) -> Trial:
    """Measure one plan: recall@10, and what a query costs on one thread, by counted work."""
    recalls, errors = {}, {}
    for name, asked in questions.items():
        found = funnel.search(asked.queries, k=K + 1, stages=stages, keep=keep).ids
        each = recall_of_each(without(found, asked.own), asked.true)
        recalls[name], errors[name] = float(each.mean()), float(each.std() / np.sqrt(len(each)))
    queries = next(iter(questions.values())).queries[:_COUNTED]
    return Trial(
        nprobe=None,
        shortlist=stages[0].shortlist,
        recall=recalls,
        standard_error=errors,
        microseconds=_cost(funnel, queries, stages, keep=keep),
        stages=tuple((stage.dim, stage.shortlist, stage.margin) for stage in stages),
    )


def _cost(funnel: Funnel, queries: Vectors, stages: Stages, *, keep: Bitmap | None) -> float:
    """Return the counted microseconds of one query: the scan of all codes, then each stage's candidates at its width."""
    index = funnel.index
    scan = costs.Costs(index, width=int(index.d)).microseconds(nprobe=None, shortlist=0)
    widths = [stage.dim for stage in stages[1:]] + [int(index.d)]
    work = 0.0
    for stage, width in zip(stages, widths, strict=True):
        handed: float = min(stage.shortlist, int(index.ntotal))
        if stage.margin is not None:
            handed = funnel.compared(queries, stages, keep=keep)
        work += costs.of_candidates(handed, width)
    return round(scan + work / 1000, 3)


def _time(trial: Trial) -> float:
    return trial.microseconds


def plan(
    index: Any,
    rows: Halves,
    questions: Mapping[str, Questions],
    *,
    space: Space,
    target: float,
    dim: int,
    rotation: Vectors | None,
    keep: Bitmap | None = None,
) -> Tuned:
    """Find the fastest funnel from an index on a prefix, through the longer widths that its space has, by `tune`.

    Args:
        index: trained and filled, as `indexes.search.funnel.factory_for` names.
        rows: ``(n, d)`` float16.
        questions, target, dim, keep: as in `tune`.
        space: of the rows.
        rotation: ``(d, d)``, where the index turns the rows before it cuts them.
    """
    widths = middles_of(space, dim)
    middle = None
    if rotation is not None and widths:
        if rotated_prefixes.fits(len(rows), widths[-1]):
            middle = rotated_prefixes.turned(rows, widths[-1], rotation)
        else:
            widths = ()
    first = Funnel(index, rows, (Stage(dim=dim, shortlist=K),), rotation=rotation, turned=middle)
    return tune(first, questions, target=target, dim=dim, widths=widths, keep=keep)


def tune(
    funnel: Funnel,
    questions: Mapping[str, Questions],
    *,
    target: float,
    dim: int,
    widths: Sequence[int] = (),
    keep: Bitmap | None = None,
) -> Tuned:
    """Find the fastest plan whose recall@10 reaches ``target`` on every set of questions.

    First the shortest shortlist that suffices is found for the prefix and the full width alone; then longer prefixes are
    tried between the two, and margins at which a query stops before its shortlist ends. A plan must pass the target by
    one standard error, as in `indexes.engine.tune`.

    Args:
        funnel: the first stage with its rows.
        questions: by name; each with at least one query.
        target: recall@10 wanted, 0 to 1.
        dim: width of the first stage.
        widths: longer prefixes that are spaces too.
        keep: ``(n,)`` rows that are live.
    """
    tried: list[Trial] = []

    def passed(stages: Stages) -> bool:
        tried.append(measure(funnel, questions, stages, keep=keep))
        return passes(tried[-1], target)

    good: list[Trial] = []
    for shortlist in SHORTLISTS:
        if passed((Stage(dim=dim, shortlist=shortlist),)):
            good.append(tried[-1])
            break
        if shortlist >= funnel.index.ntotal:
            break
    if not good:
        return Tuned(
            chosen=max(tried, key=lambda trial: min(trial.recall.values())), reached=False, tried=tuple(tried)
        )
    longest = good[0].shortlist
    for share in _STEPS:
        if passed((Stage(dim=dim, shortlist=max(K, round(share * longest))),)):
            good.append(tried[-1])
            break
    enough = good[-1].shortlist
    good += [tried[-1] for stages in _between(dim, longest, enough, widths) if passed(stages)]
    fastest = min(good, key=_time)
    for base in [good[0]] if fastest is good[0] else [good[0], fastest]:
        plan = from_json(base.stages)
        for margin in _margins(funnel, questions, plan, keep=keep):
            if passed((*plan[:-1], replace(plan[-1], margin=margin))):
                good.append(tried[-1])
    return Tuned(chosen=min(good, key=_time), reached=True, tried=tuple(tried))


def _between(dim: int, longest: int, enough: int, widths: Sequence[int]) -> Iterator[Stages]:
    """Yield plans with one or two longer prefixes between the first and the full width."""
    middle = [width for width in widths if width > dim]
    for width in middle:
        for share in _SHARES:
            if enough // share >= K:
                yield Stage(dim=dim, shortlist=longest), Stage(dim=width, shortlist=enough // share)
    for last in dict.fromkeys((*middle[1:2], *middle[2:][-1:])):  # the next but one, and the widest
        if enough // 8 >= K:
            yield (
                Stage(dim=dim, shortlist=longest),
                Stage(dim=middle[0], shortlist=enough // 2),
                Stage(dim=last, shortlist=enough // 8),
            )


def _margins(
    funnel: Funnel, questions: Mapping[str, Questions], stages: Stages, *, keep: Bitmap | None
) -> list[float]:
    """Return how much true neighbours gain from the last stage's score to the full one, a few high quantiles of it.

    A query stops once the next candidate's score and the margin together stay below the k-th best found. A true
    neighbour that was handed on is missed by that only if it gains more than the margin.
    """
    gains = []
    for asked in questions.values():
        handed = funnel.handed_on(asked.queries, stages, keep=keep)
        for query, true, ids, scores in zip(
            asked.queries, asked.true, handed.ids, handed.scores, strict=True
        ):
            place = {int(number): at for at, number in enumerate(ids) if number >= 0}
            known = [(number, place[int(number)]) for number in true if int(number) in place]
            if known:
                numbers = np.array([number for number, _ in known])
                gains.append(funnel.cosines(query, numbers) - scores[[at for _, at in known]])
    if not gains:
        return []
    return [
        round(float(value), 5)
        for value in np.quantile(np.concatenate(gains), [1 - share for share in _MISSED])
    ]

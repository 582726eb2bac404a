"""Tune a funnel: find the shortest shortlist that reaches a wanted recall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from indexes.engine import K, Questions, Tuned, passes, tune
from indexes.search import Funnel
from indexes.vectors import Bitmap

SHORTLISTS = (20, 40, 80, 160, 320, 640, 1280, 2560, 5120)
_STEPS = (0.6, 0.8)  # of the shortlist that suffices: does less do?


def tune_funnel(
    funnel: Funnel, questions: Mapping[str, Questions], *, target: float, keep: Bitmap | None = None
) -> Tuned:
    """Find the shortest shortlist whose recall@10 reaches ``target`` on every set of questions, as `tune.tune`.

    Args:
        funnel: the first stage with its rows.
        questions: by name; each with at least one query.
        target: recall@10 wanted, 0 to 1.
        keep: ``(n,)`` rows that are live.
    """
    rows = int(funnel.index.ntotal)
    longest = next((shortlist for shortlist in SHORTLISTS if shortlist >= rows), SHORTLISTS[-1])
    worth = tuple(shortlist for shortlist in SHORTLISTS if shortlist <= longest)
    found = tune.tune(funnel, questions, target=target, selector=keep, shortlists=worth)
    if not found.reached:
        return found
    tried = list(found.tried)
    for share in _STEPS:
        shortlist = max(K, round(share * found.chosen.shortlist))
        tried.append(tune.recall(funnel, questions, nprobe=None, shortlist=shortlist, selector=keep))
        if passes(tried[-1], target):
            return replace(found, chosen=tried[-1], tried=tuple(tried))
    return replace(found, tried=tuple(tried))

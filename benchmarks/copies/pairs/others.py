"""Count pairs that are no copies and are called the same picture."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.copies.photographs import SEED, names, opened
from benchmarks.copies.run import Run
from retrieval.matching import Verdict, compare, features
from tools.fit_matching.exposures import another_exposure
from tools.fit_matching.pairs import made


def measure(run: Run) -> dict[str, Any]:
    """Count pairs that are not copies and are called so."""
    chosen = names(run.data)[: run.number]
    verdicts: dict[str, list[Verdict]] = {"other photographs": [], "another exposure": [], "same overlay": []}
    found = [features(opened(run.data, name)) for name in chosen]
    rng = np.random.default_rng(SEED)
    for place in range(run.number):
        for step in range(1, 11):
            verdicts["other photographs"].append(compare(found[place], found[(place + step) % run.number]))
        again = another_exposure(opened(run.data, chosen[place]), rng)
        verdicts["another exposure"].append(compare(found[place], features(again)))
    for pair in made(run.data, chosen[: run.number // 3], seed=SEED):
        if pair.how == "the same overlay":
            verdicts["same overlay"].append(compare(features(pair.one), features(pair.other)))
    counted = {
        name: {"pairs": len(some), "verified": sum(one.verified for one in some)}
        for name, some in verdicts.items()
    }
    print(json.dumps(counted), flush=True)
    return counted

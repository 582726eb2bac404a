"""Compare the precision that the probability promises with the precision found."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import numpy as np

from benchmarks.copies.photographs import SEED, names
from benchmarks.copies.run import Run
from retrieval.matching import compare, features
from tools.fit_matching.pairs import judged, made

LIMITS = (0.9, 0.95, 0.99)


def measure(run: Run) -> dict[str, Any]:
    """Compare the mean probability of what passes a limit with the share that is right."""
    pairs = chain(made(run.data, names(run.data)[: run.number], seed=SEED), judged(run.data, fitting=False))
    scores, right = [], []
    relations: dict[str, dict[str, int]] = {}
    for pair in pairs:
        verdict = compare(features(pair.one), features(pair.other))
        scores.append(verdict.probability)
        right.append(pair.relation == "picture")
        row = relations.setdefault(pair.relation, {})
        row[verdict.relation] = row.get(verdict.relation, 0) + 1
    p, truth = np.array(scores), np.array(right)
    result: dict[str, Any] = {"pairs": len(p), "copies": int(truth.sum()), "relations": relations}
    order = np.argsort(-p)
    promise = np.cumsum(p[order]) / np.arange(1, len(p) + 1)
    for wanted in LIMITS:
        passing = int(np.flatnonzero(promise >= wanted)[-1]) + 1 if (promise >= wanted).any() else 0
        kept = order[:passing]
        result[f"promised {wanted}"] = {
            "found": float(truth[kept].mean()) if passing else 1.0,
            "recall": float(truth[kept].sum() / truth.sum()),
        }
    print(json.dumps(result), flush=True)
    return result

"""Fit when two pictures are called the same, and write ``retrieval/matching/calibration.json``.

    python -m tools.fit_matching --data DIR [--photographs 400]

Half of the photographs that nano was not trained on are used, and the judged pairs of that half; ``benchmarks/bench_copies.py``
measures on the other half.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retrieval.matching.calibration as shipped
from retrieval.matching.calibration import signs, terms
from retrieval.matching.comparison import Evidence, evidence
from retrieval.matching.local_features import features
from tools.fit_matching.alterations import chained
from tools.fit_matching.pairs import Pair, is_for_fitting, judged, made
from tools.train_nano.inputs.data import list_photos

TARGET = Path(shipped.__file__).with_name("calibration.json")
FOLDS = 5
PRECISION = 0.99
SCENE = 0.72  # `Agreement.extent`: over it lie 88 of 100 judged bursts, and 20 of 100 equal things on other grounds
RIDGE = 3.0
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument(
        "--signs", type=Path, help="where the signs of the pairs are kept between runs (.npz)"
    )
    options = parser.parse_args()
    rows, relations, hows = gathered(options.data, options.photographs, options.signs)
    facts = fitted(rows, relations, hows)
    facts["provenance"]["photographs"] = options.photographs
    TARGET.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts["provenance"], indent=1))


def gathered(
    data: Path, photographs: int, kept: Path | None
) -> tuple[NDArray[np.float64], list[str], list[str]]:
    """Compare all pairs for fitting; returns signs ``(n, 16)``, relations and what was done."""
    if kept is not None and kept.exists():
        with np.load(kept) as arrays:
            return arrays["rows"], arrays["relations"].tolist(), arrays["hows"].tolist()
    names = [p.file for p in list_photos(data) if p.split != "train" and is_for_fitting(p.file)]
    chosen = [names[i] for i in np.random.default_rng(SEED).permutation(len(names))[:photographs]]
    rows, relations, hows = [], [], []
    rng = np.random.default_rng(SEED)
    for pair in (*made(data, chosen, seed=SEED), *judged(data, fitting=True)):
        for shown in _altered(pair, rng):
            one, other = features(shown.one), features(shown.other)
            found = evidence(one, other) if rng.random() < 0.5 else evidence(other, one)
            if found is not None:
                rows.append(_signs(found))
                relations.append(shown.relation)
                hows.append(shown.how)
    result = np.array(rows), relations, hows
    if kept is not None:
        np.savez(kept, rows=result[0], relations=np.array(relations), hows=np.array(hows))
    return result


def _altered(pair: Pair, rng: np.random.Generator) -> list[Pair]:
    """Return the pair, and where it was judged, two pairs of which the one is altered besides."""
    if pair.how != "judged":
        return [pair]
    made = [pair]
    for _ in range(2):
        copy, how = chained(pair.other, rng, others=[pair.other.rotate(180)])
        made.append(Pair(one=pair.one, other=copy, relation=pair.relation, how="judged + " + " + ".join(how)))
    return made


def _signs(found: Evidence) -> NDArray[np.float64]:
    return signs(found.pixels, found.placed.agreeing, found.placed.pairs)


def fitted(rows: NDArray[np.float64], relations: list[str], hows: list[str]) -> dict[str, Any]:
    """Fit the probability of ``picture``."""
    same = np.array([relation == "picture" for relation in relations])
    # As many copies as others; among these, what was judged weighs as much as what was made.
    kinds = np.array(
        ["picture" if s else how.split(" ")[0] == "judged" for s, how in zip(same, hows, strict=True)]
    )
    weights = np.zeros(len(rows))
    for kind in set(kinds):
        weights[kinds == kind] = (2 if kind == "picture" else 1) / (kinds == kind).sum()
    weights *= len(rows) / weights.sum()
    means, spreads = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    scaled = np.clip((rows - means) / spreads, -3, 3)
    design = terms(scaled)
    fold = np.arange(len(rows)) // 20 % FOLDS
    logits = np.zeros(len(rows))
    for out in range(FOLDS):
        use = fold != out
        coefficients, bias = _logistic(design[use], same[use], weights[use])
        logits[fold == out] = design[fold == out] @ coefficients + bias
    coefficients, bias = _logistic(design, same, weights)
    knots = _isotonic(logits, same, weights)
    probability = np.interp(logits, knots[:, 0], knots[:, 1])
    verified = float(np.interp(_threshold(logits, same, weights), knots[:, 0], knots[:, 1]))
    return {
        "provenance": {
            "made_by": "python -m tools.fit_matching",
            "comparisons": len(rows),
            "of_copies": int(same.sum()),
            "judged": sum(how.startswith("judged") for how in hows),
            "recall": float(weights[same & (probability >= verified)].sum() / weights[same].sum()),
            "precision_fitted_for": PRECISION,
        },
        "means": means.round(5).tolist(),
        "spreads": spreads.round(5).tolist(),
        "weights": coefficients.round(5).tolist(),
        "bias": round(bias, 5),
        "knots": knots.round(5).tolist(),
        "verified": round(verified, 4),
        "scene": SCENE,
        "points": 8,
    }


def _logistic(
    design: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Fit a logistic regression with a ridge by Newton's steps; returns weights and bias."""
    x = np.c_[design, np.ones(len(design))]
    found = np.zeros(x.shape[1])
    ridge = np.full(x.shape[1], RIDGE)
    ridge[-1] = 0
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        slope = x.T @ (weights * (truth - p)) - ridge * found
        curve = (x * (weights * p * (1 - p))[:, None]).T @ x + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curve, slope)
        found += step
        if np.abs(step).max() < 1e-6:
            break
    return found[:-1], float(found[-1])


def _isotonic(
    logits: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit the nearest rising function by pooling neighbours that fall; returns knots ``(k, 2)`` of logit and probability."""
    order = np.argsort(logits, kind="stable")
    pools: list[list[float]] = []  # weight, weight · truth, weight · logit
    for block in np.array_split(order, min(60, len(order))):
        w = weights[block]
        pools.append([w.sum(), (w * truth[block]).sum(), (w * logits[block]).sum()])
        while len(pools) > 1 and pools[-2][1] / pools[-2][0] >= pools[-1][1] / pools[-1][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    return np.array([(w[2] / w[0], np.clip(w[1] / w[0], 0.0, 0.9995)) for w in pools])


def _threshold(logits: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Return the lowest logit from which on the precision is held."""
    order = np.argsort(-logits, kind="stable")
    right = np.cumsum(weights[order] * truth[order]) / np.cumsum(weights[order])
    held = np.flatnonzero(right >= PRECISION)
    return float(logits[order[held[-1]]]) if len(held) else np.inf


if __name__ == "__main__":
    main()

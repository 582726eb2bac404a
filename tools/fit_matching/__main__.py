"""Fit when two pictures are called the same, and write ``retrieval/matching/calibration.json``.

    python -m tools.fit_matching --data DIR [--photographs 400]
    python -m tools.fit_matching --data DIR --photographs 130 --seed 2 --signs one.json two.json    # with what one.json kept

The photographs, and the look-alikes among them, are none of the 20,000 that ``benchmarks/bench_copies.py`` measures on. Of the judged
pairs, which are bursts of those, half are used, and the other half is measured.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import retrieval.matching.calibration as shipped
from retrieval.matching.calibration import RELATIONS, Calibration, Network, odds
from retrieval.matching.comparison import evidence
from retrieval.matching.local_features import features
from tools.fit_matching.alterations import chained
from tools.fit_matching.network import trained
from tools.fit_matching.pairs import FOUND, Pair, judged, look_alikes, made

TARGET = Path(shipped.__file__).with_name("calibration.json")
FOLDS = 10
NETWORKS = 4
VERIFIED = 0.9
"""From here on two pictures are verified. Chosen of 0.75, 0.9, 0.95 and 0.97 with what each finds in sight (`benchmarks/results/copies_levels.json`)."""
LIKELY = 0.75  # three of four are the same: shown, and not marked
POINTS = 6  # fewer agree by chance
JUDGED_COUNT = 3.0  # times, for these are what collections hold, and there are few of them


class Row(NamedTuple):
    """One way in which the pictures of a pair may lie on each other."""

    signs: list[float]
    relation: str
    pair: int
    photograph: int
    is_judged: bool
    was_found: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument(
        "--seed", type=int, default=1, help="which photographs are drawn, and how they are altered"
    )
    parser.add_argument(
        "--signs",
        type=Path,
        nargs="+",
        default=[],
        help="where the signs of the pairs are kept between runs (.json); all files that are there are fitted on together",
    )
    options = parser.parse_args()
    parts = [[Row(*row) for row in json.loads(path.read_text())] for path in options.signs if path.exists()]
    missing = [path for path in options.signs if not path.exists()]
    if missing or not parts:
        parts.append(gathered(options.data, options.photographs, seed=options.seed, judged_too=not parts))
        if missing:
            missing[0].write_text(json.dumps(parts[-1]))
    facts = fitted(together(parts))
    TARGET.write_text(json.dumps(facts, separators=(",", ":")).replace('],"', '],\n"') + "\n")
    print(json.dumps(facts["provenance"], indent=1))


def together(parts: Sequence[list[Row]]) -> list[Row]:
    """Give pairs and photographs of several runs numbers of their own."""
    rows: list[Row] = []
    for part in parts:
        pairs, photographs = (
            1 + max((getattr(row, name) for row in rows), default=-1) for name in ("pair", "photograph")
        )
        rows += [
            row._replace(
                pair=row.pair + pairs,
                photograph=row.photograph + photographs if row.photograph >= 0 else row.photograph,
            )
            for row in part
        ]
    return rows


def gathered(data: Path, photographs: int, *, seed: int, judged_too: bool) -> list[Row]:
    """Compare pairs for fitting; those that a person judged are the same whatever the seed."""
    from benchmarks.copies.photographs import unmeasured

    names = unmeasured(data)
    chosen = [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:photographs]]
    rows: list[Row] = []
    rng = np.random.default_rng(seed)
    number = 0
    known = chain(judged(data, fitting=True), look_alikes(data)) if judged_too else ()
    for pair in chain(known, made(data, chosen, seed=seed)):
        for shown in _altered(pair, rng):
            one, other = features(shown.one), features(shown.other)
            number += 1
            for found in evidence(one, other) if rng.random() < 0.5 else evidence(other, one):
                seen = found.signs.round(5).tolist()
                rows.append(
                    Row(seen, shown.relation, number, pair.photograph, pair.photograph < 0, pair.how == FOUND)
                )
    return rows


def _altered(pair: Pair, rng: np.random.Generator) -> list[Pair]:
    """Return the pair, and where it was judged, two pairs of which the one is altered besides."""
    if pair.how != "judged":
        return [pair]
    made = [pair]
    for _ in range(2):
        copy, how = chained(pair.other, rng, others=[pair.other.rotate(180)])
        made.append(Pair(one=pair.one, other=copy, relation=pair.relation, how="judged + " + " + ".join(how)))
    return made


def fitted(rows: list[Row]) -> dict[str, Any]:
    """Train the networks, and fit the probability of ``picture``.

    Pairs that a person judged count `JUDGED_COUNT` times. What the networks say of a photograph's pairs comes from networks that have not seen it,
    nor what a judged pair joins it to.
    """
    seen = np.array([row.signs for row in rows])
    # Where something agrees though a person saw nothing in common, it is a thing at most.
    relations = np.array(
        [RELATIONS.index("object" if row.relation == "none" else row.relation) for row in rows]
    )
    ways = Counter(row.pair for row in rows)
    weights = np.array([(JUDGED_COUNT if row.is_judged else 1.0) / ways[row.pair] for row in rows])
    same = relations == 0
    known = Calibration(
        means=seen.mean(axis=0).round(5), spreads=(seen.std(axis=0) + 1e-4).round(5), networks=(), knots=np.zeros((1, 2)),
        likely=1.0, verified=1.0, points=POINTS,
    )  # fmt: skip
    fold = _folds([row.photograph for row in rows])
    outputs = np.zeros((len(rows), len(RELATIONS)))
    for out in range(FOLDS):
        use = fold != out
        outputs[~use] = _with(known, seen[use], relations[use], weights[use]).outputs(seen[~use])
    logits = odds(outputs)
    knots = _isotonic(logits, same, weights)
    probability = np.interp(logits, knots[:, 0], knots[:, 1])
    final = _with(known, seen, relations, weights)
    return {
        "provenance": {
            "made_by": "python -m tools.fit_matching",
            "photographs": len({row.photograph for row in rows if row.photograph >= 0}),
            "comparisons": len(ways),
            "of_copies": len({row.pair for row in rows if row.relation == "picture"}),
            "judged": len({row.pair for row in rows if row.is_judged}),
            "recall": round(float(weights[same & (probability >= VERIFIED)].sum() / weights[same].sum()), 4),
            "look_alikes_verified": _wrong(rows, probability),
        },
        "means": known.means.tolist(),
        "spreads": known.spreads.tolist(),
        "knots": knots.round(5).tolist(),
        "likely": LIKELY,
        "verified": VERIFIED,
        "points": POINTS,
        "networks": [
            {name: getattr(one, name).round(4).tolist() for name in Network.__dataclass_fields__}
            for one in final.networks
        ],
    }


def _with(
    known: Calibration, seen: NDArray[np.float64], relations: NDArray[np.int64], weights: NDArray[np.float64]
) -> Calibration:
    """Return the calibration with networks trained on some rows."""
    scaled = known.scaled(seen)
    networks = tuple(trained(scaled, relations, weights, seed=seed) for seed in range(NETWORKS))
    return replace(known, networks=networks)


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


def _folds(photographs: Sequence[int]) -> NDArray[np.int64]:
    """Return the fold of each row; rows of one photograph have one."""
    known, of = np.unique(photographs, return_inverse=True)
    return (np.random.default_rng(0).permutation(len(known)) % FOLDS)[of]


def _wrong(rows: Sequence[Row], probability: NDArray[np.float64]) -> int:
    """Count the look-alikes that are not one picture and would be verified."""
    return len(
        {
            row.pair
            for row, found in zip(rows, probability.tolist(), strict=True)
            if row.was_found and row.relation != "picture" and found >= VERIFIED
        }
    )


if __name__ == "__main__":
    main()

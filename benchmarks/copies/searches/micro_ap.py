"""Measure micro-AP over `attacks-2`: altered originals of a gallery, and as many altered photographs that are not in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as Picture

from benchmarks.copies.pairs import agrees
from benchmarks.copies.photographs import MOST, ROWS, encoded, encoded_names, gallery, opened, relation_of
from benchmarks.copies.run import Run
from retrieval.encoders.families.nano import open_nano
from retrieval.evaluation.attacks import CURRENT, LISTS, attack
from retrieval.evaluation.copy_detection import in_background
from retrieval.evaluation.copy_detection.candidates import Candidates
from retrieval.evaluation.copy_detection.checks import Checks
from retrieval.evaluation.copy_detection.detection import Scored, rankings, verified_scores
from retrieval.matching import Features, compare, features
from retrieval.matching.comparison import evidence

BACKGROUND = 1_000
DEPTH = 50
_NOTHING = (False, 0.0, "none")


def measure(run: Run) -> dict[str, Any]:
    """Alter each original by one attack of the list, in turn, and each absent photograph likewise."""
    drawn = gallery(run.data, rows=ROWS, originals=MOST)
    names, number = drawn.names, min(run.number, MOST)
    asked = (*names[:number], *drawn.absent[:number])
    rows = encoded_names(run.data, names, run.work)
    vectors = encoded(open_nano(threads=1), altered(run.data, asked, originals=number))
    found = nearest(rows, vectors, asked, names, originals=number)
    checks = checked(run, asked, names, found, originals=number)
    left = ground(run.data, names)
    lowered = in_background(vectors, encoded_names(run.data, left, run.work))[found.query]
    orders = {
        "cosine": found.cosines,
        "cosine, normalised": found.cosines - lowered,
        "verified": verified_scores(found.cosines, checks),
        "verified, normalised": verified_scores(found.cosines - lowered, checks),
        "probability, then cosine": np.nan_to_num(checks.probability) + found.cosines / 1000,
        "probability + cosine": np.nan_to_num(checks.probability) + found.cosines,
    }
    measured = {
        name: _plain(rankings(found, [Scored(by=name, normalised=False, scores=scores)])[0])
        for name, scores in orders.items()
    }
    wrong = np.flatnonzero(checks.verified & ~found.correct)
    result = {
        "list": CURRENT, "gallery": len(names), "queries": number, "without an original": number,
        "depth": DEPTH, "compared": int((~np.isnan(checks.probability)).sum()), "background": len(left),
        "recall among the first 50": float(found.correct.sum() / found.positives.sum()),
        "orders": measured,
        "verified and wrong": [
            (_attack(int(found.query[n]), number), asked[found.query[n]], names[found.rows[n]],
             relation_of(asked[found.query[n]], names[found.rows[n]]) or "not looked at", round(float(checks.probability[n]), 4))
            for n in wrong
        ],
        "verified by attack": _by_attack(found, checks, number),
    }  # fmt: skip
    print(json.dumps({name: row["micro_ap"] for name, row in measured.items()}), flush=True)
    return result


def altered(data: Path, names: Sequence[str], *, originals: int) -> Iterator[Picture]:
    """Yield the altered photographs: the originals, then those that are not in the gallery."""
    for place, name in enumerate(names):
        seed = place if place < originals else MOST + place - originals
        yield attack(_attack(place, originals), opened(data, name), seed=seed)


def _attack(place: int, originals: int) -> str:
    """Return the attack of a query: each list of them gets all attacks in turn."""
    ways = [name for name in LISTS[CURRENT] if name != "none"]
    return ways[place % originals % len(ways)]


def nearest(
    rows: NDArray[np.float32],
    vectors: NDArray[np.float32],
    asked: Sequence[str],
    names: Sequence[str],
    *,
    originals: int,
) -> Candidates:
    """Find the first rows of each query; a photograph that is the same picture under another name is right, too."""
    query, found, cosines, correct = [], [], [], []
    for place, vector in enumerate(vectors):
        scores = rows @ vector
        for row in np.argsort(-scores)[:DEPTH].tolist():
            same = relation_of(asked[place], names[row]) == "picture"
            if same and (place >= originals or row != place):
                continue  # a double: neither right, for it is not the original, nor wrong
            query.append(place)
            found.append(row)
            cosines.append(scores[row])
            correct.append(place < originals and row == place)
    return Candidates(
        query=np.array(query, np.int64),
        rows=np.array(found, np.int64),
        cosines=np.array(cosines, np.float64),
        correct=np.array(correct, np.bool_),
        positives=(np.arange(len(vectors)) < originals).astype(np.int64),
    )


def checked(
    run: Run, asked: Sequence[str], names: Sequence[str], found: Candidates, *, originals: int
) -> Checks:
    """Compare the pairs, each row described once; a run that was stopped continues.

    Of which pairs the pixels agree in part is kept. These few are judged by the calibration that is shipped, anew in each run; in
    the others nothing was ever called one picture.
    """
    labels = [f"{_attack(place, originals)} {name}" for place, name in enumerate(asked)]
    pairs = [(labels[query], names[row]) for query, row in zip(found.query, found.rows, strict=True)]
    queries = altered(run.data, asked, originals=originals)
    described = dict(enumerate(map(features, queries)))  # a quarter of a megabyte each
    agreeing = _agreeing(run, pairs, found, described)
    verdicts = [_NOTHING] * len(pairs)
    rows_of: dict[int, list[int]] = {}
    for number in (number for number, pair in enumerate(pairs) if agreeing[pair]):
        rows_of.setdefault(int(found.rows[number]), []).append(number)
    for row, some in rows_of.items():
        shown = features(opened(run.data, names[row]))
        for number in some:
            one = compare(described[int(found.query[number])], shown)
            verdicts[number] = one.verified, one.probability, one.relation
    return Checks(
        verified=np.array([same for same, *_ in verdicts], np.bool_),
        probability=np.array([likely for _, likely, _ in verdicts], np.float64),
        relations=[relation for *_, relation in verdicts],
    )


def _agreeing(
    run: Run, pairs: Sequence[tuple[str, str]], found: Candidates, described: Mapping[int, Features]
) -> dict[tuple[str, str], bool]:
    """Say of each pair of a query and a row whether their pixels agree in part."""
    path = run.work / "micro-ap-agreeing.jsonl"
    known: dict[tuple[str, str], bool] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row_name, some = json.loads(line)
            known |= {(query, row_name): agree for query, agree in some}
    missing: dict[int, list[int]] = {}
    for number, row in enumerate(found.rows.tolist()):
        if pairs[number] not in known:
            missing.setdefault(row, []).append(number)
    told = time.monotonic()
    with path.open("a") as file:
        for place, numbers in enumerate(missing.values()):
            shown = features(opened(run.data, pairs[numbers[0]][1]))
            for number in numbers:
                ways = evidence(described[int(found.query[number])], shown)
                known[pairs[number]] = any(agrees(one.pixels) for one in ways)
            entry = [pairs[numbers[0]][1], [(pairs[number][0], known[pairs[number]]) for number in numbers]]
            file.write(json.dumps(entry) + "\n")
            if time.monotonic() - told > 30:
                told = time.monotonic()
                file.flush()
                print(f"compared with {place:,} of {len(missing):,} rows", flush=True)
    return known


def ground(data: Path, names: Sequence[str]) -> list[str]:
    """Return photographs for the background: training photographs that are not in the gallery."""
    inside = set(names)
    whole = gallery(data, rows=10**9, originals=MOST).names
    return [name for name in whole if name not in inside][:BACKGROUND]


def _by_attack(found: Candidates, checks: Checks, originals: int) -> dict[str, tuple[int, int, int]]:
    """Return for each attack how many originals there are, are among the first hits, and are verified."""
    table: dict[str, list[int]] = {}
    for place in np.flatnonzero(found.positives).tolist():
        table.setdefault(_attack(place, originals), [0, 0, 0])[0] += 1
    for pair in np.flatnonzero(found.correct).tolist():
        row = table[_attack(int(found.query[pair]), originals)]
        row[1] += 1
        row[2] += int(checks.verified[pair])
    return {name: (row[0], row[1], row[2]) for name, row in table.items()}


def _plain(ranking: Any) -> dict[str, Any]:
    names = ("micro_ap", "recall_at_precision_90", "recall_at_precision_99", "recall_at_1")
    return {
        name: [getattr(ranking, name).value, getattr(ranking, name).low, getattr(ranking, name).high]
        for name in names
    }

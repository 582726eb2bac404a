"""Count false verified pairs among the first 50 hits by descriptor of 20,000 pictures, look-alikes and bursts left in."""

from __future__ import annotations

import json
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.copies.galleries import MOST, PICTURES, ROWS, gallery
from benchmarks.copies.photographs import SEED, opened
from benchmarks.copies.run import Run
from benchmarks.copies.truth import relation_of
from benchmarks.copies.vectors import encoded_names
from retrieval.matching import Features, compare, features
from retrieval.matching.agreement import Agreement
from retrieval.matching.comparison import evidence

HITS = 50
ROUNDS = (5, 15, HITS)
"""Hits that are compared in each round: what is one picture, or nearly, is among the first."""
AGREES_AT_LEAST = 0.25
"""The share of tiles that agree loosely, below which nothing was ever called one picture: such pairs are not judged."""
LOOSE = 0.7  # correlation of such a tile
_AT_ONCE = 256
_HELD = 6_000  # features, a quarter of a megabyte each


class Compared(NamedTuple):
    """What a picture was compared with.

    Attributes:
        query: its place.
        others: places of the hits that it was compared with.
        found: places of those hits whose pixels agree in part.
    """

    query: int
    others: list[int]
    found: list[int]


def measure(run: Run) -> dict[str, Any]:
    """Compare each picture with its first hits, for `Run.minutes`; the next run continues.

    The first hits of all pictures come first. Of which pairs the pixels agree in part is kept, and these few are judged anew by each
    run: another calibration need not compare all. A pair that two pictures name is compared once. No picture is altered:
    whatever is verified must be the same picture under two names.
    """
    names = gallery(run.data, rows=ROWS, originals=MOST).names[:PICTURES]
    rows = encoded_names(run.data, gallery(run.data, rows=ROWS, originals=MOST).names, run.work)[:PICTURES]
    path = run.work / "false-pairs.jsonl"
    kept = [Compared(*json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a") as file:
        for line in compared(run, names, rows, kept):
            file.write(json.dumps(line) + "\n")
            kept.append(line)
            file.flush()
    return _judged(run.data, names, kept)


def compared(
    run: Run, names: Sequence[str], rows: NDArray[np.float32], kept: Sequence[Compared]
) -> Iterator[Compared]:
    """Compare what is left, round by round, for the time there is."""
    done = {frozenset((line.query, other)) for line in kept for other in line.others}
    asked = Counter(line.query for line in kept)
    held = _Held(run.data, names)
    told = time.monotonic()
    end = told + 60 * run.minutes
    order, nearest = _order(names), hits(rows)
    for turn, (first, last) in enumerate(zip((0, *ROUNDS), ROUNDS, strict=False)):
        for query in order:
            if asked[query] > turn:
                continue
            if time.monotonic() > end:
                return
            line = Compared(query, [], [])
            for other in nearest[query, first:last].tolist():
                pair = frozenset((query, other))
                if pair in done:
                    continue
                done.add(pair)
                line.others.append(other)
                if any(agrees(one.pixels) for one in evidence(held[query], held[other])):
                    line.found.append(other)
            yield line
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"hits to {last}: picture {query:,}; {len(done):,} pairs", flush=True)


def agrees(pixels: Agreement) -> bool:
    """Say whether enough tiles agree loosely that two pictures may be called one."""
    shown = pixels.shown
    return len(shown) > 0 and float((shown > LOOSE).mean()) >= AGREES_AT_LEAST


def hits(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the places of each picture's first `HITS` others, the nearest first, ``(n, HITS)``."""
    found = np.empty((len(rows), HITS), np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        scores = rows[start : start + _AT_ONCE] @ rows.T  # (b, n)
        some = np.arange(len(scores))
        scores[some, start + some] = -np.inf
        nearest = np.argpartition(-scores, HITS, axis=1)[:, :HITS]
        order = np.argsort(-np.take_along_axis(scores, nearest, axis=1), axis=1, kind="stable")
        found[start : start + _AT_ONCE] = np.take_along_axis(nearest, order, axis=1)
    return found


def _judged(data: Path, names: Sequence[str], kept: Sequence[Compared]) -> dict[str, Any]:
    """Judge the pairs whose pixels agree in part by the calibration that is shipped, and say what was looked at by eye."""
    held = _Held(data, names)
    verified = []
    for line in kept:
        for other in line.found:
            verdict = compare(held[line.query], held[other])
            if verdict.verified:
                pair = names[line.query], names[other]
                verified.append((*pair, round(verdict.probability, 4), relation_of(*pair) or "not looked at"))
    verified.sort(key=lambda one: (one[3], -one[2]))
    asked = Counter(line.query for line in kept)
    result = {
        "pictures": PICTURES,
        "asked with, for their first hits": {
            str(last): sum(rounds > turn for rounds in asked.values()) for turn, last in enumerate(ROUNDS)
        },
        "pairs compared": sum(len(line.others) for line in kept), "of which pixels agree": sum(len(line.found) for line in kept),
        "verified": len(verified), "verified pairs, by what they are": dict(Counter(one[3] for one in verified)),
        "verified and not the same picture": [one for one in verified if one[3] not in {"picture", "not looked at"}],
        "not looked at": [one for one in verified if one[3] == "not looked at"],
    }  # fmt: skip
    print(
        json.dumps({name: value for name, value in result.items() if not isinstance(value, list)}), flush=True
    )
    return result


def _order(names: Sequence[str]) -> list[int]:
    """Return the pictures folder by folder, the folders in a drawn order: pictures of a folder name each other."""
    folders = sorted({str(Path(name).parent) for name in names})
    drawn = dict(zip(folders, np.random.default_rng(SEED).permutation(len(folders)).tolist(), strict=True))
    return sorted(range(len(names)), key=lambda place: (drawn[str(Path(names[place]).parent)], names[place]))


class _Held:
    """Describes pictures, and holds the features that were used last."""

    def __init__(self, data: Path, names: Sequence[str]) -> None:
        self._data, self._names = data, names
        self._features: OrderedDict[int, Features] = OrderedDict()

    def __getitem__(self, place: int) -> Features:
        if place in self._features:
            self._features.move_to_end(place)
        else:
            self._features[place] = features(opened(self._data, self._names[place]))
            if len(self._features) > _HELD:
                self._features.popitem(last=False)
        return self._features[place]

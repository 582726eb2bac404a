"""Count false verified pairs among the first 50 hits by descriptor of 20,000 pictures, look-alikes and bursts left in."""

from __future__ import annotations

import json
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.copies.photographs import MOST, PICTURES, ROWS, encoded_names, gallery, opened, relation_of
from benchmarks.copies.run import Run
from retrieval.matching import Features, compare, features, verified_from
from retrieval.matching.agreement import Agreement
from retrieval.matching.comparison import evidence

HITS = 50
BANDS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
"""Ranks at which the pairs are parted, the likest first: what is one picture, or nearly, is among the first thousands."""
LEAST = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Probabilities from which a pair may be asked for to be called one picture."""
AGREES_AT_LEAST = 0.25
"""The share of tiles that agree loosely, below which nothing was ever called one picture: such pairs are not judged."""
LOOSE = 0.7  # correlation of such a tile
_AT_ONCE = 256
_HELD = PICTURES  # features, a quarter of a megabyte each


class Compared(NamedTuple):
    """What a picture was compared with.

    Attributes:
        query: its place.
        others: places of the pictures that it was compared with.
        found: places of those whose pixels agree in part.
    """

    query: int
    others: list[int]
    found: list[int]


class Likest(NamedTuple):
    """Each pair of a picture and one of its first hits once, the likest first by cosine.

    Attributes:
        pairs: ``(n, 2)`` places, the lower one first.
        named: ``(n,)`` how many of the two name the other among their first hits, 1 or 2.
        cosines: ``(n,)``.
    """

    pairs: NDArray[np.int64]
    named: NDArray[np.int64]
    cosines: NDArray[np.float32]


def measure(run: Run) -> dict[str, Any]:
    """Compare each picture with its first hits, for `Run.minutes`; the next run continues.

    The likest pairs come first, band by band. Of which pairs the pixels agree in part is kept, and these few are judged anew by each
    run: another calibration need not compare all. A pair that two pictures name is compared once. No picture is altered:
    whatever is verified must be the same picture under two names.
    """
    names = gallery(run.data, rows=ROWS, originals=MOST).names[:PICTURES]
    rows = encoded_names(run.data, gallery(run.data, rows=ROWS, originals=MOST).names, run.work)[:PICTURES]
    path = run.work / "false-pairs.jsonl"
    kept = [Compared(*json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    likest = likest_pairs(rows)
    with path.open("a") as file:
        for line in compared(run, names, likest, kept):
            file.write(json.dumps(line) + "\n")
            kept.append(line)
            file.flush()
    return _judged(run.data, names, likest, kept)


def compared(run: Run, names: Sequence[str], likest: Likest, kept: Sequence[Compared]) -> Iterator[Compared]:
    """Compare what is left, band by band, for the time there is; within a band folder by folder, whose pictures name each other."""
    done = {_key(line.query, other) for line in kept for other in line.others}
    held = _Held(run.data, names)
    told = time.monotonic()
    end = told + 60 * run.minutes
    order = np.array(_order(names))
    turn = np.argsort(order)  # of each picture
    for band in _bands(len(likest.pairs)):
        turns = np.sort(turn[likest.pairs[band]], axis=1)
        some = order[turns[np.lexsort((turns[:, 1], turns[:, 0]))]]
        for query, others in _by_query(some[[_key(*pair) not in done for pair in some.tolist()]]):
            if time.monotonic() > end:
                return
            found = [
                other
                for other in others
                if any(agrees(one.pixels) for one in evidence(held[query], held[other]))
            ]
            yield Compared(query, others, found)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"ranks {band.start:,} to {band.stop:,}: picture {turn[query]:,} in order", flush=True)


def _key(one: int, other: int) -> int:
    return min(one, other) * PICTURES + max(one, other)


def _bands(number: int) -> list[slice]:
    edges = [0, *(rank for rank in BANDS if rank < number), number]
    return [slice(first, last) for first, last in pairwise(edges)]


def _by_query(pairs: NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
    """Yield pairs that follow each other and share their first picture together."""
    for query, some in groupby(pairs.tolist(), key=itemgetter(0)):
        yield query, [other for _, other in some]


def likest_pairs(rows: NDArray[np.float32]) -> Likest:
    """Return the pairs of all pictures with their first `HITS` others."""
    nearest, scores = hits(rows)
    query = np.repeat(np.arange(len(rows)), HITS)
    keys = np.minimum(query, nearest.ravel()) * len(rows) + np.maximum(query, nearest.ravel())
    keys, first, named = np.unique(keys, return_index=True, return_counts=True)
    cosines = scores.ravel()[first]
    order = np.argsort(-cosines, kind="stable")
    pairs = np.stack(np.divmod(keys[order], len(rows)), axis=1)
    return Likest(pairs=pairs, named=named[order], cosines=cosines[order])


def agrees(pixels: Agreement) -> bool:
    """Say whether enough tiles agree loosely that two pictures may be called one."""
    shown = pixels.shown
    return len(shown) > 0 and float((shown > LOOSE).mean()) >= AGREES_AT_LEAST


def hits(rows: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the places and cosines of each picture's first `HITS` others, the nearest first, ``(n, HITS)``."""
    found = np.empty((len(rows), HITS), np.int64)
    cosines = np.empty((len(rows), HITS), np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        scores = rows[start : start + _AT_ONCE] @ rows.T  # (b, n)
        some = np.arange(len(scores))
        scores[some, start + some] = -np.inf
        nearest = np.argpartition(-scores, HITS, axis=1)[:, :HITS]
        order = np.argsort(-np.take_along_axis(scores, nearest, axis=1), axis=1, kind="stable")
        found[start : start + _AT_ONCE] = np.take_along_axis(nearest, order, axis=1)
        cosines[start : start + _AT_ONCE] = np.take_along_axis(
            scores, found[start : start + _AT_ONCE], axis=1
        )
    return found, cosines


def _judged(data: Path, names: Sequence[str], likest: Likest, kept: Sequence[Compared]) -> dict[str, Any]:
    """Judge the pairs whose pixels agree in part by the calibration that is shipped, and say what was looked at by eye."""
    held = _Held(data, names)
    verified: dict[int, tuple[str, str, float, str]] = {}
    for line in kept:
        for other in line.found:
            verdict = compare(held[line.query], held[other])
            if verdict.relation == "picture":  # verified or likely
                pair = names[line.query], names[other]
                relation = relation_of(*pair) or "not looked at"
                verified[_key(line.query, other)] = (*pair, round(verdict.probability, 4), relation)
    listed = sorted(verified.values(), key=lambda one: (one[3], -one[2]))
    done = {_key(line.query, other) for line in kept for other in line.others}
    agree = {_key(line.query, other) for line in kept for other in line.found}
    result = {
        "pictures": PICTURES, "hits": HITS, "pairs, each once": len(likest.pairs),
        "pairs compared": len(done), "of which pixels agree": len(agree),
        "verified": _counts([one for one in listed if one[2] >= verified_from()]),
        "verified or likely": len(listed), "these pairs, by what they are": dict(Counter(one[3] for one in listed)),
        "by least probability": {str(least): _counts([one for one in listed if one[2] >= least]) for least in LEAST},
        "by rank, the likest first": _curve(likest, done, agree, verified),
        "verified or likely, and not the same picture": [one for one in listed if one[3] not in {"picture", "not looked at"}],
        "not looked at": [one for one in listed if one[3] == "not looked at"],
    }  # fmt: skip
    print(json.dumps({name: value for name, value in result.items() if name != "not looked at"}), flush=True)
    return result


def _counts(some: Sequence[tuple[str, str, float, str]]) -> dict[str, int]:
    wrong = sum(relation not in {"picture", "not looked at"} for *_, relation in some)
    return {"verified": len(some), "not the same picture": wrong}


def _curve(
    likest: Likest, done: set[int], agree: set[int], verified: Mapping[int, tuple[str, str, float, str]]
) -> list[dict[str, Any]]:
    """Return for each band of ranks what was compared, and what was verified, rightly or not."""
    table = []
    for band in _bands(len(likest.pairs)):
        keys = [_key(*pair) for pair in likest.pairs[band].tolist()]
        relations = Counter(verified[key][3] for key in keys if key in verified)
        table.append({
            "ranks": [band.start + 1, band.stop], "least cosine": round(float(likest.cosines[band][-1]), 4),
            "named, of the million": int(likest.named[band].sum()), "compared": sum(key in done for key in keys),
            "pixels agree": sum(key in agree for key in keys), "verified": dict(relations),
        })  # fmt: skip
    return table


def _order(names: Sequence[str]) -> list[int]:
    """Return the pictures folder by folder."""
    return sorted(range(len(names)), key=lambda place: names[place])


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

"""Count false verified pairs among the first 50 hits by descriptor of 20,000 pictures, look-alikes and bursts left in."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.copies.galleries import gallery
from benchmarks.copies.micro_ap import MOST, ROWS
from benchmarks.copies.photographs import SEED, opened
from benchmarks.copies.run import Run
from benchmarks.copies.truth import relation_of
from benchmarks.copies.vectors import encoded_names
from retrieval.matching import Features, compare, features

PICTURES = 20_000
HITS = 50
_HELD = 3_000  # features, a quarter of a megabyte each


def measure(run: Run) -> dict[str, Any]:
    """Compare each picture with its first hits, folder by folder in a drawn order, for `Run.minutes`; the next run continues.

    A pair that two pictures name is compared once. Pictures of one folder come together, because they name each other: so each
    is described about once. No picture is altered, so whatever is verified must be the same picture under two names.
    """
    names = gallery(run.data, rows=ROWS, originals=MOST).names[:PICTURES]
    rows = encoded_names(run.data, gallery(run.data, rows=ROWS, originals=MOST).names, run.work)[:PICTURES]
    path = run.work / "false-pairs.jsonl"
    done = {}
    if path.exists():
        done = {line["query"]: line for line in map(json.loads, path.read_text().splitlines())}
    compared = {frozenset(pair) for line in done.values() for pair in line["pairs"]}
    held = _Held(run.data, names)
    end = told = time.monotonic()
    end += 60 * run.minutes
    with path.open("a") as file:
        for query in _order(names):
            if names[query] in done:
                continue
            if time.monotonic() > end:
                break
            line: dict[str, Any] = {"query": names[query], "pairs": [], "verified": []}
            scores = rows @ rows[query]
            for row in np.argsort(-scores)[: HITS + 1].tolist():
                pair = frozenset((query, row))
                if row == query or pair in compared:
                    continue
                verdict = compare(held[query], held[row])
                compared.add(pair)
                line["pairs"].append([query, row])
                if verdict.verified:
                    line["verified"].append([names[row], round(verdict.probability, 4)])
            done[names[query]] = line
            file.write(json.dumps(line) + "\n")
            if time.monotonic() - told > 60:
                told = time.monotonic()
                file.flush()
                print(f"{len(done):,} of {PICTURES:,} pictures, {len(compared):,} pairs", flush=True)
    verified = [
        (line["query"], other, probability, relation_of(line["query"], other) or "not looked at")
        for line in done.values()
        for other, probability in line["verified"]
    ]
    counted: dict[str, int] = {}
    for *_, relation in verified:
        counted[relation] = counted.get(relation, 0) + 1
    result = {
        "pictures": PICTURES, "asked with": len(done), "hits a picture": HITS, "pairs compared": len(compared),
        "verified": len(verified), "verified pairs, by what they are": counted,
        "verified and not the same picture": [one for one in verified if one[3] not in {"picture", "not looked at"}],
        "not looked at": [one for one in verified if one[3] == "not looked at"],
    }  # fmt: skip
    print(
        json.dumps({name: value for name, value in result.items() if isinstance(value, int | dict)}),
        flush=True,
    )
    return result


def _order(names: Sequence[str]) -> list[int]:
    """Return the pictures folder by folder, the folders in a drawn order."""
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

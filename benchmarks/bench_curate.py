"""How well does a collection know what it has: is "likely nothing" right, and what does it cost?

    python benchmarks/bench_curate.py --data DIR [--parts match,match_cost] [--work DIR] [--rows 100000] [--repeats 15]

match       labelled photographs that nano was not trained on, each thing asked for once where it is and once where it is not, by its
            name and by a photograph of it. Each domain is judged by a calibration fitted on the other ones (`tools.fit_relevance`):
            area under the curve, share of absent queries flagged while a tenth of the present ones is, calibration error.
match_cost  CPU time of a search with and without `match`, by words and by a stored row, among vectors of those photographs and their neighbours.

Expected: area 0.82 and 0.5 flagged by words with nano@2; error 0.05; at most 1.2 times the CPU time by words.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import retrieval
from benchmarks.frame import RESULTS, ratio, save, spread, watch
from retrieval.collection.matches import Judge
from retrieval.encoders.families.nano import open_nano
from tools.fit_relevance.asking import KINDS, ask
from tools.fit_relevance.judging import judge
from tools.fit_relevance.photographs import gather

PARTS = ("match", "match_cost")
SEED = 1
WORDS = ["dog", "a red car", "sea", "church", "piano", "pizza", "horse", "street", "bus", "flower"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--work", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    kept = RESULTS / "curate.json"
    facts: dict[str, Any] = {}
    if kept.exists():
        facts = {name: part for name, part in json.loads(kept.read_text()).items() if name in PARTS}
    with watch() as load:
        for part in options.parts.split(","):
            facts[part] = told_apart(options) if part == "match" else cost(options)
            print(json.dumps({part: facts[part]}, indent=1, default=asdict))
    save("curate", load=load, **facts)


def told_apart(options: argparse.Namespace) -> dict[str, Any]:
    """Judge present and absent things, for both versions of nano."""
    facts: dict[str, Any] = {}
    for version in ("1", "2"):
        encoder = open_nano(version, threads=1)
        asked = list(ask(gather(options.data, encoder, options.work), encoder, seed=SEED))
        facts[encoder.space.name] = {
            kind: judge([one for one in asked if one.kind == kind]) for kind in KINDS
        }
    return facts


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Compare a search with one that looks at no background."""
    encoder = open_nano(threads=1)
    vectors = gather(options.data, encoder, options.work).vectors
    rng = np.random.default_rng(SEED)
    nothing = mock.patch("retrieval.collection.search_run.judge_of", return_value=Judge(reason="left out"))
    facts: dict[str, Any] = {"rows": options.rows}
    with tempfile.TemporaryDirectory() as folder, retrieval.create(folder, encoder="nano") as photos:
        for start in range(0, options.rows, 20_000):
            some = vectors[rng.integers(len(vectors), size=min(20_000, options.rows - start))]
            photos.add(some + 0.02 * rng.standard_normal(some.shape).astype(np.float32))
        for kind, queries in (("words", WORDS), ("rows", list(range(0, 970, 97)))):
            seconds: dict[str, list[float]] = {"with": [], "without": []}
            for round_ in range(-1, options.repeats):
                for name in ("with", "without") if round_ % 2 else ("without", "with"):
                    began = time.process_time()
                    with nothing if name == "without" else nullcontext():
                        for query in queries:
                            photos.search(query)
                    if round_ >= 0:
                        seconds[name].append((time.process_time() - began) / len(queries))
            spreads = {name: spread(values) for name, values in seconds.items()}
            facts[kind] = {
                "cpu_milliseconds": {name: round(one.median * 1e3, 3) for name, one in spreads.items()},
                "ratio": ratio(spreads["with"], spreads["without"]),
            }
    return facts


if __name__ == "__main__":
    main()

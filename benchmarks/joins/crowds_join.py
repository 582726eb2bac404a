"""Does the work of a self-join grow as the rows, where most of them are nearly the same?

    python benchmarks/joins/crowds_join.py        # joins_crowds.json: 20,000 rows, with 12,500 to 50,000 blank pages, or frames of a film

The rows are clustered as image embeddings are, and a fifth of them are altered copies. Blank pages have one direction but for noise.
The frames of a film walk at random, a small step from one to the next. Rows are joined as arrays, once for each number of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.frame import save, watch
from benchmarks.synthetic import Recipe, altered_copies, blank_pages, vectors
from indexes.join import SelfJoin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--crowds", type=int, nargs="+", default=[12_500, 25_000, 50_000])
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--at-most", type=int, default=50)
    parser.add_argument("--name", default="joins_crowds")
    options = parser.parse_args()
    rows = vectors(Recipe(rows=options.rows, dim=options.dim, seed=3))
    altered_copies(rows, seed=7)
    results: dict[str, Any] = {}
    with watch() as load:
        for kind, made in (("blank pages", blank_pages), ("frames of a film", film)):
            for count in options.crowds:
                crowd = made(count, options.dim)
                found = joined(
                    np.concatenate((rows, crowd)).astype(np.float16), rows=len(rows), options=options
                )
                results[f"{count} {kind}"] = found
                print(f"{count} {kind}", json.dumps(found), flush=True)
    save(options.name, load=load, parameters=vars(options), results=results)


def film(count: int, dim: int) -> NDArray[np.float32]:
    """Return the frames of one film: unit rows, each a small step from the one before."""
    steps = np.random.default_rng(5).standard_normal((count, dim)).cumsum(axis=0)
    return (steps / np.linalg.norm(steps, axis=1, keepdims=True)).astype(np.float32)  # (count, dim)


def joined(both: NDArray[np.float16], *, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """Join rows with those of a crowd, which come last; return what it took and how many of the crowd have a pair."""
    began, spent = time.perf_counter(), time.process_time()
    join = SelfJoin(both, threshold=options.threshold, at_most=options.at_most)
    pairs, cut, paired = 0, 0, np.zeros(len(both), dtype=np.bool_)
    for block in range(join.blocks):
        found = join.pairs(block)
        paired[found.ids_a] = paired[found.ids_b] = True
        pairs, cut = pairs + len(found), cut + found.cut
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - spent, 1),
        "pairs": pairs,
        "cut": cut,
        "of_the_crowd_in_a_pair": int(paired[rows:].sum()),
    }


if __name__ == "__main__":
    main()

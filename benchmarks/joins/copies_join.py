"""How long does it take to find all pairs of a collection that are alike, and how many are missed?

    python benchmarks/joins/copies_join.py --rows 1000000 --dim 256          # joins.json: 1 M rows, 1 % new rows, blank pages
    python benchmarks/joins/copies_join.py --thresholds 0.9 --crowd 0 --name joins_1m            # the same without blank pages

Vectors are clustered as image embeddings are, and a fifth of them are altered copies of others, whose cosines run from 0.4 to 1
as those of crops, greys and recompressions do. They become a collection of the default kind. Joins run in processes of
their own, each measured for wall time, CPU time and anonymous memory. Then some random rows are compared with all, and each of
their pairs (the `--at-most` best of a row) is looked up in what the join gave. A second collection has blank pages besides.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks.frame import save, watch
from benchmarks.synthetic import Recipe, altered_copies, blank_pages, vectors
from indexes.engine import flat

_JOIN = """
import json, resource, sys, time, numpy as np, retrieval
folder, threshold, at_most, new, out = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
with retrieval.open(folder) as photos:
    since = None if not new else np.arange(len(photos.live) - new, len(photos.live))
    began, spent = time.perf_counter(), time.process_time()
    one, other, cut, blocks = [], [], 0, 0
    for pairs in photos.pairs(threshold, at_most=at_most, since=since):
        one.append(pairs.ids_a.astype(np.int32)), other.append(pairs.ids_b.astype(np.int32))
        cut, blocks = cut + pairs.cut, blocks + 1
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
np.save(out, np.stack((np.concatenate(one), np.concatenate(other))))
for line in open("/proc/self/status"):
    if line.startswith("RssAnon"):
        held = int(line.split()[1]) >> 10
json.dump({"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "pairs": sum(map(len, one)), "cut": cut, "blocks": blocks,
           "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, "held_mib_at_the_end": held}, sys.stdout)
"""


def joined(
    folder: Path, *, threshold: float, at_most: int, new: int = 0
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Join a collection in a process of its own; return what it took, and the pairs as sorted numbers."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        command = [
            sys.executable,
            "-c",
            _JOIN,
            str(folder),
            str(threshold),
            str(at_most),
            str(new),
            file.name,
        ]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        one, other = np.load(file.name).astype(np.int64)
    return json.loads(run.stdout), np.sort(one << 32 | other)


def recall(
    rows: NDArray[np.float16],
    found: NDArray[np.int64],
    asked: NDArray[np.int64],
    *,
    threshold: float,
    at_most: int,
) -> dict[str, Any]:
    """Return the share of the pairs of some rows that a join has given."""
    there = total = uncut = uncut_there = 0
    for start in range(0, len(asked), 1000):
        some = asked[start : start + 1000]
        near = flat.exact(rows, rows[some].astype(np.float32), k=at_most + 2)
        reach = (near.scores >= threshold) & (near.ids != some[:, np.newaxis])
        full = np.count_nonzero(reach, axis=1) > at_most
        reach &= np.cumsum(reach, axis=1) <= at_most
        place, rank = np.nonzero(reach)
        one, other = some[place], near.ids[place, rank]
        keys = np.minimum(one, other) << 32 | np.maximum(one, other)
        at = np.minimum(np.searchsorted(found, keys), max(len(found) - 1, 0))
        hit = found[at] == keys if len(found) else np.zeros(len(keys), np.bool_)
        there, total = there + int(hit.sum()), total + len(hit)
        short = ~full[place]
        uncut, uncut_there = uncut + int(short.sum()), uncut_there + int(hit[short].sum())
    return {
        "recall": round(there / max(total, 1), 5),
        "pairs_looked_up": total,
        "recall_of_rows_with_fewer_partners_than_named": round(uncut_there / max(uncut, 1), 5),
        "rows": len(asked),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.9, 0.8])
    parser.add_argument("--at-most", type=int, default=50)
    parser.add_argument("--asked", type=int, default=20_000)
    parser.add_argument("--crowd", type=int, default=100_000)
    parser.add_argument("--work", type=Path, help="where to keep the collections, to use them again")
    parser.add_argument("--name", default="joins")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    with watch() as load:
        rows = made(work, "photos", options)
        new = options.rows // 100
        asked = np.random.default_rng(11).choice(
            options.rows, min(options.asked, options.rows), replace=False
        )
        for threshold in options.thresholds:
            whole, found = joined(work / "photos", threshold=threshold, at_most=options.at_most)
            few, _ = joined(work / "photos", threshold=threshold, at_most=options.at_most, new=new)
            whole |= recall(rows, found, asked, threshold=threshold, at_most=options.at_most)
            results[f"threshold {threshold}"] = {
                "all": whole,
                "one row in a hundred is new": few,
                "cpu of new rows over all": round(few["cpu_seconds"] / whole["cpu_seconds"], 4),
            }
            print(json.dumps(results[f"threshold {threshold}"], indent=1), flush=True)
        if options.crowd:
            made(work, "crowded", options, crowd=options.crowd)
            threshold = options.thresholds[0]
            crowded, found = joined(work / "crowded", threshold=threshold, at_most=options.at_most)
            paired = np.unique(np.concatenate((found >> 32, found & 0xFFFFFFFF)))
            crowded["blank pages in a pair"] = int(np.count_nonzero(paired >= options.rows))
            results[f"with {options.crowd} blank pages"] = crowded
            print(json.dumps(crowded, indent=1), flush=True)
    save(options.name, load=load, parameters=vars(options) | {"work": None}, results=results)


def made(work: Path, name: str, options: argparse.Namespace, *, crowd: int = 0) -> NDArray[np.float16]:
    """Make a collection unless it is there, and return its rows."""
    file = work / f"{name}.npy"
    if not file.exists():
        rows = vectors(Recipe(rows=options.rows, dim=options.dim, seed=3))
        altered_copies(rows, seed=7)
        if crowd:
            rows = np.concatenate((rows, blank_pages(crowd, options.dim)))
        np.save(file, rows.astype(np.float16))
    rows = np.load(file, mmap_mode="r")
    began = time.perf_counter()
    retrieval.sync_vectors(
        work / name, rows, keys=[f"{number:08}.jpg" for number in range(len(rows))], progress=False
    )
    print(f"{name}: {len(rows):,} rows, {time.perf_counter() - began:.0f} s", flush=True)
    with retrieval.open(work / name) as photos:
        return np.array(photos.rows)


if __name__ == "__main__":
    main()

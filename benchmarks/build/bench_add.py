"""What does adding rows cost, until another process finds them, beside building the collection again?

    python benchmarks/build/bench_add.py [--rows 200000] [--dim 256] [--repeats 15] [--rebuilds 3]

Seeded vectors with keys, in a collection that is compared as a whole (flat) and in one with an index (ivfrabitq). Each round adds one
row, then 1,000 rows, by `Collection.add`. The clock ends when a reader in another process has refreshed and shows them; its
first search, which finds the last of them, is timed by itself. In the end so many rows are added at once that a new generation takes in
all that were added. A rebuild stores and indexes all vectors in a new collection.
Times are wall clock: on a machine that others use, most of it is waiting for the disk and the cores. So the writer's CPU time is
kept, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks import synthetic
from benchmarks.frame import Spread, save, spread, watch
from indexes.derivation.recent_segments import TAIL_ROWS

KINDS = ("flat", "ivfrabitq")
SIZES = (1, 1_000)


def build(home: Path, vectors: Any, kind: str) -> float:
    """Build a collection of all vectors; return the seconds."""
    keys = [f"{number:08}.jpg" for number in range(len(vectors))]
    began = time.perf_counter()
    retrieval.sync_vectors(home, vectors, keys, space="bench", kind=kind, device="cpu")
    return time.perf_counter() - began


def read(home: str, pipe: Connection) -> None:
    """Serve as another process's reader: refresh when asked to, then search for the vector that comes."""
    with retrieval.open(home) as collection:
        collection.search_vectors(collection.vectors([0]), k=1)
        pipe.send("open")
        while (query := pipe.recv()) is not None:
            pipe.send(collection.refresh())
            began = time.perf_counter()
            found = collection.search_vectors(query, k=1)
            pipe.send((int(found.ids[0, 0]), time.perf_counter() - began))


def add(home: Path, vectors: Any, *, repeats: int) -> dict[str, Spread]:
    """Add rows round by round; return the seconds until they are shown, and of the first search, by how many were added."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    reader = multiprocessing.get_context("spawn").Process(target=read, args=(str(home), theirs))
    reader.start()
    ours.recv()
    shown: dict[str, list[float]] = {}
    try:
        with retrieval.open(home) as collection:
            start = 0
            for round_ in range(-1, repeats):
                for size in SIZES:
                    block = vectors[start : start + size]
                    keys = [f"added/{number}.jpg" for number in range(start, start + size)]
                    start += size
                    began, worked = time.perf_counter(), time.process_time()
                    ids = collection.add(block, keys)
                    worked = time.process_time() - worked
                    ours.send(block[-1])
                    refreshed = ours.recv()
                    seconds = time.perf_counter() - began
                    found, searched = ours.recv()
                    if not refreshed or found != ids[-1]:
                        raise SystemExit(f"row {ids[-1]} was added, and {found} found")
                    if round_ >= 0:
                        shown.setdefault(f"add {size}", []).append(seconds)
                        shown.setdefault(f"CPU of adding {size}", []).append(worked)
                        shown.setdefault(f"first search after {size}", []).append(searched)
            began = time.perf_counter()
            collection.add(vectors[start:], [f"added/{number}.jpg" for number in range(start, len(vectors))])
            shown[f"add {len(vectors) - start} and take in {len(vectors)}"] = [time.perf_counter() - began]
    finally:
        ours.send(None)
        reader.join()
    return {name: spread(values) for name, values in shown.items()}


def main() -> None:
    """Measure both kinds and save what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rebuilds", type=int, default=3)
    options = parser.parse_args()
    more = max(TAIL_ROWS, sum(SIZES) * (options.repeats + 1)) + 1
    recipe = synthetic.Recipe(rows=options.rows + more, dim=options.dim)
    vectors = synthetic.vectors(recipe)
    times: dict[str, dict[str, Spread]] = {}
    shares: dict[str, dict[str, float]] = {}
    with watch() as load, tempfile.TemporaryDirectory() as temporary:
        for kind in KINDS:
            rebuilds = [
                build(Path(temporary) / f"{kind} {number}", vectors[: options.rows], kind)
                for number in range(options.rebuilds)
            ]
            added = add(Path(temporary) / f"{kind} 0", vectors[options.rows :], repeats=options.repeats)
            times[kind] = added | {"rebuild": spread(rebuilds)}
            shares[kind] = {
                f"rebuild over add {size}": times[kind]["rebuild"].median / added[f"add {size}"].median
                for size in SIZES
            }
            for name, value in times[kind].items():
                print(f"{kind}: {name}: {value.median:.4f} s ({value.min:.4f} to {value.max:.4f})")
            print({name: round(value) for name, value in shares[kind].items()})
    save(
        "add",
        load=load,
        parameters={"rows": options.rows, "dim": options.dim, "sizes": SIZES, "repeats": options.repeats},
        times=times,
        ratios=shares,
    )


if __name__ == "__main__":
    main()

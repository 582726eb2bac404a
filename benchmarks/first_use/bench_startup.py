"""How long does a cold process take: help, an import, a query by words, opening a large collection?

    python benchmarks/first_use/bench_startup.py [--repeats 7] [--skip-million]

Every time is of a whole process, wall clock, alternating with a process that only imports what peers import. The query runs
on 10,000 rows in the space of nano (random vectors: the search is exact, so their values do not matter), by words. The
million rows are synthetic vectors of 512 dimensions; page cache warm. Two measures are of Python within a process: ``import
retrieval``, and from opening that collection to the first hits of words, with numpy and faiss imported before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks import synthetic
from benchmarks.frame import alternate, ratio, save, spread, watch
from indexes.generation.manifest import read_manifest, write_manifest

ROWS = 10_000
MILLION = 1_000_000
PEERS = "import open_clip, torch, faiss"

OPENING = """
import json, sys, time
import numpy as np
import indexes.search.generation, indexes.store.store, retrieval.collection.collection
from indexes.engine.backend import faiss
query = np.load(sys.argv[2])
faiss()
started = time.perf_counter()
with retrieval.collection.collection.open_collection(sys.argv[1]) as collection:
    found = collection.search_vectors(query, k=10)
    ours = time.perf_counter() - started
    generation = collection.directory / "generations" / f"{collection.manifest.generation:04d}"
    started = time.perf_counter()
    index = faiss().read_index(str(generation / "index.faiss"))
    rows = np.fromfile(collection.directory / "rerank.f16", dtype=np.float16)
    theirs = time.perf_counter() - started
print(json.dumps({"open_and_search": ours, "read_index_and_rows": theirs}))
"""

IMPORT = """
import time
started = time.perf_counter()
import retrieval
print(time.perf_counter() - started)
"""

WORDS = """
import sys, time
import faiss, numpy
import retrieval
started = time.perf_counter()
with retrieval.open(sys.argv[1]) as collection:
    hits = collection.search("a red bus in the snow")
    print(time.perf_counter() - started)
"""


def timed(code: str, *arguments: str) -> float:
    """Return the seconds that a script says its own work took."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    return float(done.stdout)


def environment() -> dict[str, str]:
    """Return a user's environment: no BLAS kernels named, and bytecode kept."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("OPENBLAS_") and key != "PYTHONDONTWRITEBYTECODE"
    }


def process(*command: str) -> None:
    """Run a process to its end, as a user's machine would."""
    subprocess.run(command, check=True, capture_output=True, env=environment())


def retrieve(*arguments: str) -> list[str]:
    """Return the command line of ``retrieve`` in this environment."""
    return [str(Path(sys.executable).with_name("retrieve")), *arguments]


def words_collection(folder: Path) -> Path:
    """Make a collection of random rows that takes its queries through nano."""
    space = retrieval.load_encoder("nano").space
    rows = np.random.default_rng(0).standard_normal((ROWS, space.dim)).astype(np.float32)
    retrieval.sync_vectors(folder, rows, [f"{number}.jpg" for number in range(ROWS)], space=space)
    manifest = read_manifest(folder / ".retrieve")
    write_manifest(folder / ".retrieve", replace(manifest, encoder="nano@1"))
    return folder


def million_collection(folder: Path) -> tuple[Path, Path]:
    """Make a collection of a million rows; return it and a file with one query."""
    recipe = synthetic.Recipe(rows=MILLION)
    rows = np.lib.format.open_memmap(
        folder.with_suffix(".npy"), mode="w+", dtype=np.float16, shape=(MILLION, recipe.dim)
    )
    start = 0
    for block in synthetic.blocks(recipe):
        rows[start : start + len(block)] = block
        start += len(block)
    retrieval.sync_vectors(folder, rows, [str(number) for number in range(MILLION)], space="synthetic")
    query = folder / "query.npy"
    np.save(query, synthetic.queries(recipe, 1))
    return folder, query


def main() -> None:
    """Run the benchmark and keep its results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--skip-million", action="store_true")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary, watch() as load:
        words = str(words_collection(Path(temporary) / "words"))
        times = alternate(
            {
                "help": lambda: process(*retrieve("--help")),
                "query by words": lambda: process(
                    *retrieve("query", "--index", words, "a red bus in the snow")
                ),
                "query by id": lambda: process(*retrieve("query", "--index", words, "--id", "5")),
                "info": lambda: process(*retrieve("info", "--index", words)),
                "python": lambda: process(sys.executable, "-c", "pass"),
                "import open_clip, torch, faiss": lambda: process(sys.executable, "-c", PEERS),
            },
            repeats=options.repeats,
        )
        inside = {
            "import retrieval": spread([timed(IMPORT) for _ in range(options.repeats + 1)][1:]),
            "open to first hits of words": spread(
                [timed(WORDS, words) for _ in range(options.repeats + 1)][1:]
            ),
        }
        facts = {
            "times": times,
            "within a process": inside,
            "ratios": {
                "importing open_clip, torch and faiss over a query by words": ratio(
                    times["import open_clip, torch, faiss"], times["query by words"]
                )
            },
        }
        if not options.skip_million:
            folder, query = million_collection(Path(temporary) / "million")
            runs = [
                json.loads(
                    subprocess.run(
                        [sys.executable, "-c", OPENING, str(folder), str(query)],
                        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
                    ).stdout
                )
                for _ in range(options.repeats + 1)
            ][1:]  # fmt: skip
            ours = spread([run["open_and_search"] for run in runs])
            theirs = spread([run["read_index_and_rows"] for run in runs])
            facts["million"] = {
                "rows": MILLION,
                "dim": 512,
                "open_and_search": ours,
                "read_index_and_rows": theirs,
                "ratio": ratio(theirs, ours),
                "query by id, whole process": alternate(
                    {"id": lambda: process(*retrieve("query", "--index", str(folder), "--id", "5"))},
                    repeats=options.repeats,
                )["id"],
            }
    for name, took in [*times.items(), *inside.items()]:
        print(f"{name:32} {took.median * 1000:8.0f} ms  ({took.min * 1000:.0f}-{took.max * 1000:.0f})")
    for name, value in facts["ratios"].items():
        print(f"{name}: {value.median:.1f} ({value.min:.1f}-{value.max:.1f})")
    if "million" in facts:
        million = facts["million"]
        print(
            f"1M x 512: open and first search {million['open_and_search'].median * 1000:.0f} ms, read_index and rows "
            f"{million['read_index_and_rows'].median * 1000:.0f} ms, ratio {million['ratio'].median:.1f}; query --id "
            f"{million['query by id, whole process'].median * 1000:.0f} ms"
        )
    save("startup", load=load, parameters={"rows": ROWS, "repeats": options.repeats}, **facts)


if __name__ == "__main__":
    main()

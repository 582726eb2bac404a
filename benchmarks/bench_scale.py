"""What does a collection of 1, 3 or 10 million vectors take: time, memory, disk, and how much does it find?

    python benchmarks/bench_scale.py --rows 1000000,3000000,10000000 [--dim 128] [--kind auto] [--work DIR]

Unit rows around 20,000 centres, with noise of 0.7 of the centres' own spread, seeded, drawn block by block into a ``.npy`` file
of float16 with a file of keys beside it. `retrieval.sync_vectors` reads both, in a process of its own whose
anonymous memory (``RssAnon``) is sampled every 50 ms. A second process opens the collection and asks 500 queries of
the same distribution that are not stored: recall@10 against exact search, time of single queries, memory.
Results are written after each size.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import RESULTS, save, watch

CLUSTERS, NOISE = 20_000, 0.7
BLOCK = 65_536
QUERIES = 500
SINGLE = 200
LIMIT = 6 << 30

_BUILD = """
import sys, time, retrieval
began = time.monotonic()
def progress(event):
    if event.message:
        print(f"{time.monotonic() - began:8.1f} s  {event.phase}: {event.message}", flush=True)
report = retrieval.sync_vectors(
    sys.argv[1], sys.argv[2], sys.argv[3], space="scale", kind=sys.argv[4], progress=progress
)
"""

_ASK = """
import json, sys, time
import numpy as np, retrieval
from indexes.search.generation import Generation
from indexes.generation.manifest import read_manifest
from pathlib import Path
queries = np.load(sys.argv[2])
home = Path(sys.argv[1]) / ".retrieve"
began = time.perf_counter()
manifest = read_manifest(home)
with Generation.open(home, manifest) as generation:
    generation.search(queries[:1], k=10)
    first = time.perf_counter() - began
    for query in queries[:50]:
        generation.search(query[np.newaxis], k=10)
    took = []
    for query in queries[: int(sys.argv[3])]:
        start = time.perf_counter()
        generation.search(query[np.newaxis], k=10)
        took.append(time.perf_counter() - start)
    found = generation.search(queries, k=10).ids
    exact = generation.search(queries, k=10, exact=True).ids
with retrieval.open(sys.argv[1]) as collection:
    same = bool((collection.search_vectors(queries[:9], k=10).ids == found[:9]).all())
recall = [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist())]
index = manifest.index
json.dump({
    "first_answer_s": round(first, 3), "single_query_ms": round(1e3 * float(np.median(took)), 3),
    "recall_at_10": round(float(np.mean(recall)), 4), "standard_error": round(float(np.std(recall) / len(recall) ** 0.5), 4),
    "factory": index.factory, "nprobe": index.nprobe, "shortlist": index.shortlist,
    "recall_measured_by_build": index.recall_at_10, "collection_answers_the_same": same,
}, sys.stdout)
"""


def _centres(dim: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((CLUSTERS, dim), dtype=np.float32)


def drawn(count: int, centres: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return unit rows ``(count, d)`` around the centres; the same seed gives the same."""
    rng = np.random.default_rng([1, seed])
    rows = rng.standard_normal((count, centres.shape[1]), dtype=np.float32)
    rows *= np.float32(NOISE)
    rows += centres[rng.integers(len(centres), size=count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def write_inputs(work: Path, rows: int, dim: int) -> tuple[Path, Path]:
    """Write the vectors and their keys block by block."""
    vectors, keys = work / f"{rows}.npy", work / f"{rows}.txt"
    centres = _centres(dim)
    with vectors.open("wb") as file, keys.open("w", encoding="ascii") as names:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "<f2", "fortran_order": False, "shape": (rows, dim)}
        )
        for start in range(0, rows, BLOCK):
            block = drawn(min(BLOCK, rows - start), centres, start)
            file.write(block.astype(np.float16).data)
            names.writelines(
                f"albums/{number // 1000:05}/{number:08}.jpg\n" for number in range(start, start + len(block))
            )
    return vectors, keys


def anonymous(pid: int) -> int:
    """Return the bytes of anonymous memory that a process holds."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return 0 if found is None else int(found[1]) << 10


def sampled(command: list[str], **options: Any) -> tuple[dict[str, Any], str]:
    """Run a command; return its wall and CPU time with the most anonymous memory that it held, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, peak, at = time.monotonic(), 0, 0.0
    said = began
    with tempfile.TemporaryFile("w+") as output:
        run = subprocess.Popen(command, stdout=output, **options)
        while run.poll() is None:
            if (held := anonymous(run.pid)) > peak:
                peak, at = held, time.monotonic() - began
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"{said - began:8.1f} s  {held >> 20:6} MiB held, {peak >> 20} MiB at most", flush=True)
            time.sleep(0.05)
        output.seek(0)
        text = output.read()
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = {
        "exit": run.returncode,
        "wall_s": round(wall, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_anonymous_mib": peak >> 20,
        "peak_at_s": round(at, 1),
    }
    return facts, text


def size_of(directory: Path) -> int:
    """Return the bytes that the files below a directory take on disk."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def measured(work: Path, rows: int, dim: int, kind: str) -> dict[str, Any]:
    """Build a collection of so many rows and ask it."""
    vectors, keys = write_inputs(work, rows, dim)
    home = work / f"collection-{rows}"
    root = str(Path(__file__).parent.parent)
    options: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": root}}
    with watch() as load:
        build, said = sampled(
            [sys.executable, "-c", _BUILD, str(home), str(vectors), str(keys), kind], **options
        )
    print(said, build, flush=True)
    result = {"rows": rows, "dim": dim, "build": build, "load_cores": asdict(load)}
    result["steps"] = [line.strip() for line in said.splitlines()]
    vectors.unlink()
    keys.unlink()
    if build["exit"] == 0:
        collection = home / ".retrieve"
        result["disk_bytes"] = {
            path.name: size_of(path) or path.stat().st_size for path in collection.iterdir()
        }
        result["disk_mib"] = size_of(collection) >> 20
        queries = work / "queries.npy"
        np.save(queries, drawn(QUERIES, _centres(dim), 1 << 40))
        ask, answer = sampled([sys.executable, "-c", _ASK, str(home), str(queries), str(SINGLE)], **options)
        result["search"] = ask | (json.loads(answer) if ask["exit"] == 0 else {})
        search = result["search"]
        peak = max(build["peak_anonymous_mib"], ask["peak_anonymous_mib"]) << 20
        result["passes"] = ask["exit"] == 0 and search["recall_at_10"] >= 0.95 and peak <= LIMIT
    shutil.rmtree(home, ignore_errors=True)
    return result


def main() -> None:
    """Run the sizes asked for; results of other sizes stay in the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1000000,3000000,10000000")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--name", default="scale")
    given = parser.parse_args()
    known = RESULTS / f"{given.name}.json"
    sizes = json.loads(known.read_text(encoding="utf-8"))["sizes"] if known.exists() else {}
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        for rows in map(int, given.rows.split(",")):
            sizes[str(rows)] = result = measured(Path(folder), rows, given.dim, given.kind)
            print(json.dumps(result, indent=2), flush=True)
            save(
                given.name,
                parameters={"clusters": CLUSTERS, "noise": NOISE, "queries": QUERIES, "kind": given.kind},
                sizes=sizes,
            )


if __name__ == "__main__":
    main()

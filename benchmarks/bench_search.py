"""How fast does search answer, at which recall, in how much memory, beside its peers?

    python benchmarks/bench_search.py --rows 200000                 # the quick mode
    python benchmarks/bench_search.py --rows 1000000 --parts exact  # one part, minutes each

Vectors come from `synthetic.py` (seeded; unit norm, common mean, Zipf clusters, power-law spectra); queries are fresh draws,
half of them to choose a setting and half to measure it. What is built lies in ``--work`` and is used again, and every
part writes its own file in ``results/`` as soon as it is done. Contenders run alternately in one process, on ``--threads``
threads; CPU time and wall time are both kept, because CPU time is what another process on the machine disturbs least.

data        vectors, queries, exact neighbours; local intrinsic dimension
exact       `flat.exact` against plain `faiss.IndexFlatIP`: batches, a single query, bytes a second against a bare read;
            with the best BLAS kernels on both sides, and each in an environment that sets nothing
build       every engine's index, each in a process of its own: CPU seconds, and anonymous memory once loaded
search      the cheapest setting of each that reaches recall@10 0.95: queries a second in a batch, and one at a time
collection  `Collection.search_vectors` against faiss called directly with the same index and refinement
filters     1 % of the rows kept, at random and by folder: recall and latency against no filter
add         1 % new vectors against building again
cold        a cold process: ``query --id``, and opening with the first search
real        RETRIEVAL_DATA's photographs through nano: image and text queries, against exact search
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import save, watch
from benchmarks.search import compressed, exact, whole
from benchmarks.search.bench import DIM, OURS, TARGET, Bench, K
from benchmarks.search.engines import PEERS, lists_for

PACKAGES = ("hnswlib", "usearch", "scann", "scalable-vs", "faiss-cpu", "numpy")

PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "data": exact.data,
    "exact": exact.exact,
    "build": compressed.build,
    "search": compressed.search,
    "collection": whole.collection,
    "filters": whole.filters,
    "add": whole.add,
    "cold": whole.cold,
    "real": whole.real,
}
CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "exact": exact.exact_here,
    "stock-ours": lambda bench: exact.stock(bench, plain=False),
    "stock-plain": lambda bench: exact.stock(bench, plain=True),
    "open": whole.open_here,
    "build": compressed.build_here,
    "memory": compressed.memory_here,
}


def main() -> None:
    """Run parts of the benchmark and keep their results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--parts", default=",".join(PARTS))
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "retrieval-bench-search"
    )
    arguments.add_argument("--engines", help=f"some of {';'.join([OURS, *PEERS])}")
    arguments.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    arguments.add_argument("--engine", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != str(options.threads):
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before any library reads it
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606
    bench = Bench(options)
    if options.child:
        words = [options.engine] if options.engine else []
        print(json.dumps(CHILDREN[options.child](bench, *words), default=_plain))
        return
    for part in options.parts.split(","):
        print(f"--- {part}, {bench.rows:,} x {DIM}, {bench.threads} thread(s)", flush=True)
        with watch() as load:
            facts = PARTS[part](bench)
        print(f"    others kept {load.others} cores busy, {load.seconds:.0f} s", flush=True)
        parameters = {
            "rows": bench.rows, "dim": DIM, "threads": bench.threads, "k": K, "target": TARGET,
            "lists_of_peers": lists_for(bench.rows), "versions": versions(),
        }  # fmt: skip
        name = "search_real" if part == "real" else f"search_{bench.label}_{part}"
        save(name, load=load, parameters=parameters, **facts)


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    from importlib import metadata

    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: object) -> Any:
    from dataclasses import asdict, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{value!r} is no JSON")


if __name__ == "__main__":
    main()

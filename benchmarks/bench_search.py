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
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import synthetic
from benchmarks.engines import PEERS, Engine, lists_for
from benchmarks.frame import Spread, ratio, save, spread, watch

K = 10
TARGET = 0.95
QUERIES = 2000
DIM = 512
PARTS = ("data", "exact", "build", "search", "collection", "filters", "add", "cold", "real")
OURS = "retrieval"
KERNELS = {"best": None, "stock": ""}
PACKAGES = ("hnswlib", "usearch", "scann", "scalable-vs", "faiss-cpu", "numpy")

Array = np.ndarray[Any, Any]


class Bench:
    """What the parts share: sizes, the folder of what was built, threads and repeats."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rows: int = options.rows
        self.threads: int = options.threads
        self.repeats: int = options.repeats
        self.engines = [name for name in [OURS, *PEERS] if _wanted(name, options.engines)]
        self.work: Path = options.work / f"{options.rows}"
        self.work.mkdir(parents=True, exist_ok=True)
        self.label = f"{options.rows // 1000}k"

    @property
    def recipe(self) -> synthetic.Recipe:
        """What is drawn."""
        return synthetic.Recipe(rows=self.rows, dim=DIM)

    @property
    def base(self) -> Array:
        """``(n, d)`` float16, mapped."""
        return np.load(self.work / "base.npy", mmap_mode="r")

    @property
    def wide(self) -> Array:
        """``(n, d)`` float32 in memory: the same values."""
        from indexes.arrays import unit_rows

        return np.concatenate(
            [unit_rows(self.base[first : first + 65_536]) for first in range(0, self.rows, 65_536)]
        )

    @property
    def queries(self) -> Array:
        """``(QUERIES, d)`` float32: the first half chooses settings."""
        return np.load(self.work / "queries.npy")

    @property
    def truth(self) -> Array:
        """``(QUERIES, K)`` ids by exact search."""
        return np.load(self.work / "truth.npy")

    @property
    def collection(self) -> Path:
        """Where ours lies."""
        return self.work / "collection"

    def index(self, name: str) -> Path:
        """Where a peer's index lies."""
        return self.work / f"{name.replace(' ', '_').replace(',', '_')}.index"

    def child(self, task: str, *words: str, kernels: str | None = None) -> dict[str, Any]:
        """Run one task of this script in a process of its own and return what it found."""
        command = [sys.executable, str(Path(__file__).resolve()), "--child", task, *words]
        command += [
            "--rows", str(self.rows), "--threads", str(self.threads), "--work", str(self.work.parent),
            "--repeats", str(self.repeats),
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
        if kernels:
            environment["OPENBLAS_CORETYPE"] = kernels
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
        return found


def _wanted(name: str, engines: str | None) -> bool:
    return engines is None or name in engines.split(";")


def recall(found: Array, true: Array) -> float:
    """Return the mean share of the true neighbours that were found."""
    return float(
        np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), true.tolist(), strict=True)])
    )


def rounds(contenders: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, dict[str, Spread]]:
    """Time each contender in alternation: seconds on the clock and of the CPU, one value a round."""
    taken: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in contenders}
    for round_ in range(-1, repeats):
        for name in contenders if round_ % 2 == 0 else reversed(list(contenders)):
            worked, began = time.process_time(), time.perf_counter()
            contenders[name]()
            if round_ >= 0:
                taken[name]["wall"].append(time.perf_counter() - began)
                taken[name]["cpu"].append(time.process_time() - worked)
    return {name: {clock: spread(values) for clock, values in times.items()} for name, times in taken.items()}


def ratios(theirs: Mapping[str, Spread], ours: Mapping[str, Spread]) -> dict[str, Spread]:
    """Return how many times as fast ours is, on both clocks."""
    return {clock: ratio(theirs[clock], ours[clock]) for clock in ("cpu", "wall")}


def shown(name: str, found: Mapping[str, Spread]) -> None:
    """Print one ratio."""
    print(
        f"{name}: {found['cpu'].median:.2f} ({found['cpu'].min:.2f}-{found['cpu'].max:.2f}) of CPU time, "
        f"{found['wall'].median:.2f} on the clock",
        flush=True,
    )


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def anonymous() -> int:
    """Return this process's anonymous memory in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def kernels() -> dict[str, str]:
    """Return which kernels each BLAS in this process chose."""
    from threadpoolctl import threadpool_info

    return {
        f"{library['prefix']} {library['version']}": library.get("architecture", "?")
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }


# Parts


def data(bench: Bench) -> dict[str, Any]:
    """Draw vectors and queries, and find the exact neighbours."""
    from indexes import flat

    if not (bench.work / "truth.npy").exists():
        rows = np.lib.format.open_memmap(
            bench.work / "base.npy", mode="w+", dtype=np.float16, shape=(bench.rows, DIM)
        )
        start = 0
        for block in synthetic.blocks(bench.recipe):
            rows[start : start + len(block)] = block
            start += len(block)
        rows.flush()
        np.save(bench.work / "queries.npy", synthetic.queries(bench.recipe, QUERIES))
        found = flat.exact(np.asarray(bench.base), bench.queries, k=100)
        np.save(bench.work / "truth.npy", found.ids[:, :K])
        np.save(bench.work / "scores.npy", found.scores)
    scores = np.load(bench.work / "scores.npy")
    return {
        "intrinsic_dimension": synthetic.intrinsic_dimension(scores),
        "neighbours": bench.truth[:100].tolist(),
    }


def exact(bench: Bench) -> dict[str, Any]:
    """Compare exact search with plain faiss."""
    from indexes.backend import _best_kernels, _cpu_flags

    best = _best_kernels(_cpu_flags())
    facts: dict[str, Any] = {"best_kernels": best, **bench.child("exact", kernels=best)}
    ours, theirs = [], []
    for _ in range(bench.repeats):
        ours.append(bench.child("stock-ours"))
        theirs.append(bench.child("stock-plain"))
    stock = {
        clock: ratio(spread([t[clock] for t in theirs]), spread([o[clock] for o in ours]))
        for clock in ("cpu", "wall")
    }
    shown("batch of 512, an environment that sets nothing", stock)
    facts["stock"] = {"ratio": stock, "kernels": {"ours": ours[0]["kernels"], "plain": theirs[0]["kernels"]}}
    return facts


def exact_here(bench: Bench) -> dict[str, Any]:
    """Alternate both in this process: the kernels are those that the environment names."""
    from indexes import backend, flat

    faiss = backend.faiss()
    faiss.omp_set_num_threads(bench.threads)
    halves, queries = np.array(bench.base), bench.queries
    plain = faiss.IndexFlatIP(DIM)
    for first in range(0, bench.rows, 65_536):
        plain.add(np.ascontiguousarray(bench.base[first : first + 65_536], dtype=np.float32))
    facts: dict[str, Any] = {"kernels": kernels(), "batches": {}}

    def as_shipped(batch: Array) -> Any:
        faiss.cvar.distance_compute_blas_threshold = 128_000
        try:
            return plain.search(batch, K)
        finally:
            faiss.cvar.distance_compute_blas_threshold = backend.BATCH_THRESHOLD

    for size in (1, 16, 64, 128, 512):
        batch = np.ascontiguousarray(queries[:size])
        found = flat.exact(halves, batch, k=K).ids
        times = rounds(
            {
                "ours": lambda batch=batch: flat.exact(halves, batch, k=K),
                "plain": lambda batch=batch: as_shipped(batch),
            },
            repeats=bench.repeats,
        )
        against = ratios(times["plain"], times["ours"])
        facts["batches"][str(size)] = {
            "times": times,
            "ratio": against,
            "recall": recall(found, bench.truth[:size]),
        }
        print(
            f"batch {size}: {against['cpu'].median:.2f} x plain IndexFlatIP (CPU), {against['wall'].median:.2f} (clock)",
            file=sys.stderr,
            flush=True,
        )
    bits = halves.view(np.int64)
    part = -(-len(bits) // bench.threads)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(bench.threads) as pool:

        def read() -> None:
            list(pool.map(lambda start: bits[start : start + part].max(), range(0, len(bits), part)))

        one = np.ascontiguousarray(queries[:1])
        times = rounds(
            {"ours": lambda: flat.exact(halves, one, k=K), "read": read}, repeats=3 * bench.repeats
        )
    facts["single"] = {
        "bytes": halves.nbytes,
        "bytes_per_second_over_stream": ratio(times["read"]["wall"], times["ours"]["wall"]),
        "stream_bytes_per_second": halves.nbytes / times["read"]["wall"].median,
        "times": times,
    }
    return facts


def stock(bench: Bench, *, plain: bool) -> dict[str, Any]:
    """Time a batch of 512 in this process, alone: nothing names kernels but our own import, or nobody."""
    queries = np.ascontiguousarray(bench.queries[:512])
    if plain:
        import faiss

        faiss.omp_set_num_threads(bench.threads)
        index = faiss.IndexFlatIP(DIM)
        for first in range(0, bench.rows, 65_536):
            index.add(np.ascontiguousarray(bench.base[first : first + 65_536], dtype=np.float32))
        run: Callable[[], object] = lambda: index.search(queries, K)  # noqa: E731
    else:
        from indexes import flat

        halves = np.array(bench.base)
        run = lambda: flat.exact(halves, queries, k=K)  # noqa: E731
    times = rounds({"it": run}, repeats=2)["it"]
    return {"cpu": times["cpu"].min, "wall": times["wall"].min, "kernels": kernels()}


def build(bench: Bench) -> dict[str, Any]:
    """Build each engine's index in a process of its own; what is there already is kept."""
    facts = {}
    for name in bench.engines:
        path = bench.work / f"{name.replace(' ', '_').replace(',', '_')}.json"
        if not path.exists():
            try:
                path.write_text(json.dumps(bench.child("build", "--engine", name)))
            except subprocess.CalledProcessError as error:
                print(f"{name}: could not be built ({error})", flush=True)
                continue
        facts[name] = json.loads(path.read_text())
        if "anonymous_bytes_per_vector" not in facts[name]:
            facts[name] |= bench.child("memory", "--engine", name)
            path.write_text(json.dumps(facts[name]))
        print(
            f"{name}: {facts[name]['cpu_seconds']:.0f} CPU-s, "
            f"{facts[name]['anonymous_bytes_per_vector']:.0f} bytes a vector of anonymous memory, "
            f"{facts[name]['file_bytes_per_vector']:.0f} in files",
            flush=True,
        )
    ours = facts[OURS]["cpu_seconds"]
    against = {name: found["cpu_seconds"] / ours for name, found in facts.items() if name != OURS}
    return {"engines": facts, "CPU seconds over ours": against}


def build_here(bench: Bench, name: str) -> dict[str, Any]:
    """Build one, save it, and look at the memory of another process that has it open."""
    began, worked = time.perf_counter(), cpu_seconds()
    if name == OURS:
        import retrieval

        shutil.rmtree(bench.collection, ignore_errors=True)
        bench.collection.mkdir()
        keys = [f"{number * 100 // bench.rows:02}/{number}.jpg" for number in range(bench.rows)]
        stored: list[float] = []

        def progress(event: Any) -> None:
            if event.phase != "store" and not stored:
                stored.append(cpu_seconds())

        report = retrieval.build_index_from_vectors(
            bench.collection,
            bench.work / "base.npy",
            keys,
            space="synthetic",
            kind="ivfrabitq",
            progress=progress,
        )
        facts: dict[str, Any] = {"report": {**report.to_json(), "root": None, "index": None}}
        done = cpu_seconds()
        facts |= {"cpu_seconds": done - stored[0], "cpu_seconds_of_the_store": stored[0] - worked}
    else:
        engine = PEERS[name]
        rows = bench.wide
        began, worked = time.perf_counter(), cpu_seconds()
        index = engine.build(rows, bench.threads)
        facts = {"cpu_seconds": cpu_seconds() - worked, "parameters": engine.parameters}
        engine.save(index, bench.index(name))
    facts |= {"seconds": time.perf_counter() - began, "threads": bench.threads}
    return facts | bench.child("memory", "--engine", name)


def memory_here(bench: Bench, name: str) -> dict[str, Any]:
    """Open one for the first time in this process, modules loaded before, and search: what anonymous memory that took."""
    import retrieval.collection  # noqa: F401
    from indexes.backend import faiss

    queries = bench.queries[:100]
    faiss()
    before = anonymous()
    search, file = opened(bench, name)
    for start in range(0, 100, 10):
        search(queries[start : start + 10], None)
    held = anonymous() - before
    return {
        "bytes_per_vector": held / bench.rows,
        "anonymous_bytes": held,
        "file_bytes": file,
        "anonymous_bytes_per_vector": held / bench.rows,
        "file_bytes_per_vector": file / bench.rows,
    }


Search = Callable[[Array, Any], Array]


def opened(bench: Bench, name: str) -> tuple[Search, int]:
    """Return a search function ``(queries, setting) -> ids`` and the bytes of the index's file."""
    if name == OURS:
        import retrieval

        collection = retrieval.open(bench.collection)
        path = next((bench.collection / ".retrieve" / "generations").glob("*/index.faiss"))

        def ours(queries: Array, setting: Any) -> Array:
            nprobe, shortlist = setting or (None, None)
            return collection.search_vectors(queries, k=K, nprobe=nprobe, shortlist=shortlist).ids

        return ours, path.stat().st_size
    engine: Engine = PEERS[name]
    path = bench.index(name)
    index = engine.load(path)
    size = (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if path.is_dir()
        else path.stat().st_size
    )

    def theirs(queries: Array, setting: Any) -> Array:
        return engine.search(
            index, queries, K, engine.settings[0] if setting is None else setting, bench.threads
        )

    return theirs, size


def chosen(bench: Bench, name: str, search: Search) -> tuple[Any, list[dict[str, Any]]]:
    """Return the fastest setting that reaches the target on the first half of the queries, and all that was tried."""
    queries, truth = bench.queries[: QUERIES // 2], bench.truth[: QUERIES // 2]
    tried: list[dict[str, Any]] = []

    def one(setting: Any) -> bool:
        worked = time.process_time()
        found = search(queries, setting)
        tried.append(
            {"setting": setting, "seconds": time.process_time() - worked, "recall": recall(found, truth)}
        )
        return bool(tried[-1]["recall"] >= TARGET)

    if name == OURS:
        for shortlist in (20, 40, 80, 160, 320):
            any(one((nprobe, shortlist)) for nprobe in (4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64))
    elif name == "scann":
        for setting in PEERS[name].settings:
            one(setting)
    else:
        any(one(setting) for setting in PEERS[name].settings)
    good = [trial for trial in tried if trial["recall"] >= TARGET]
    return (min(good, key=lambda trial: trial["seconds"])["setting"] if good else None), tried


def search(bench: Bench) -> dict[str, Any]:
    """Compare all that were built, each at the cheapest setting that reaches the target."""
    from indexes.backend import faiss, one_thread

    faiss().omp_set_num_threads(bench.threads)
    built = [name for name in bench.engines if name == OURS or bench.index(name).exists()]
    facts: dict[str, Any] = {"engines": {}, "kernels": kernels()}
    batch, single = {}, {}
    queries, truth = bench.queries[QUERIES // 2 :], bench.truth[QUERIES // 2 :]
    for name in built:
        run, _ = opened(bench, name)
        setting, tried = chosen(bench, name, run)
        facts["engines"][name] = {"setting": setting, "tried": tried}
        if setting is None:
            print(f"{name}: no setting reaches {TARGET}", flush=True)
            continue
        found = run(queries, setting)
        facts["engines"][name] |= {"recall": recall(found, truth), "neighbours": found[:100].tolist()}
        batch[name] = lambda run=run, setting=setting: run(queries, setting)
        single[name] = lambda run=run, setting=setting: [
            run(query, setting) for query in queries[:200, np.newaxis]
        ]
    with one_thread() if bench.threads == 1 else watch():
        times = {
            "batch": rounds(batch, repeats=bench.repeats),
            "single": rounds(single, repeats=bench.repeats),
        }
    for name in batch:
        facts["engines"][name] |= {
            "queries_per_second": len(queries) / times["batch"][name]["cpu"].median * bench.threads,
            "queries_per_second_wall": len(queries) / times["batch"][name]["wall"].median,
            "microseconds_single": 1e6 * times["single"][name]["wall"].median / 200,
        }
        print(
            name,
            {
                key: value
                for key, value in facts["engines"][name].items()
                if key not in {"tried", "neighbours"}
            },
            flush=True,
        )
    facts["times"] = times
    facts["ratios"] = {
        name: ratios(times["batch"][name], times["batch"][OURS]) for name in batch if name != OURS
    }
    for name, found in facts["ratios"].items():
        shown(f"queries a second over {name}", found)
    return facts


def collection(bench: Bench) -> dict[str, Any]:
    """Compare the whole way through a collection with its index and refinement called directly."""
    import retrieval
    from indexes import ivf
    from indexes.backend import faiss, faiss_threads, fp16_view, one_thread

    module = faiss()
    with retrieval.open(bench.collection) as ours, one_thread():
        info = ours.manifest.index
        rows = np.asarray(np.memmap(bench.collection / ".retrieve" / "rerank.f16", np.float16, "r")).reshape(
            -1, DIM
        )
        index = ivf.open_mapped(next((bench.collection / ".retrieve" / "generations").glob("*/index.faiss")))
        refined = module.IndexRefine(index, fp16_view(rows))
        inner = ivf.parameters(index, nprobe=info.nprobe, shortlist=info.shortlist or K)
        params = module.IndexRefineSearchParameters(
            k_factor=(info.shortlist or K) / K, base_index_params=inner
        )
        facts: dict[str, Any] = {"nprobe": info.nprobe, "shortlist": info.shortlist, "batches": {}}
        for size in (1, 64, 256, 1000):
            parts = [
                np.ascontiguousarray(bench.queries[first : first + size])
                for first in range(0, 200 if size == 1 else 1000, size)
            ]

            def direct(parts: list[Array] = parts) -> None:
                with faiss_threads(bench.threads):
                    for part in parts:
                        refined.search(part, K, params=params)

            def through(parts: list[Array] = parts) -> None:
                for part in parts:
                    ours.search_vectors(part, k=K)

            times = rounds({"collection": through, "faiss": direct}, repeats=2 * bench.repeats)
            against = ratios(times["faiss"], times["collection"])
            more = spread(
                [
                    1e6 * (a - b) / len(parts)
                    for a, b in zip(
                        times["collection"]["wall"].values, times["faiss"]["wall"].values, strict=True
                    )
                ]
            )
            facts["batches"][str(size)] = {"times": times, "ratio": against, "microseconds_more_a_call": more}
            shown(f"collection over faiss, batch {size}", against)
            print(f"  {more.median:.0f} µs more a call ({more.min:.0f} to {more.max:.0f})", flush=True)
    return facts


def filters(bench: Bench) -> dict[str, Any]:
    """Keep one row in a hundred, at random and by folder."""
    import retrieval
    from indexes import flat
    from indexes.backend import one_thread

    facts: dict[str, Any] = {}
    queries = bench.queries[:200]
    with retrieval.open(bench.collection) as ours, one_thread():
        keep = {
            "at random": np.random.default_rng(1).random(bench.rows) < 0.01,
            "by folder": ours.filter(under="42"),
        }
        began = time.perf_counter()
        ours.filter(glob="1?/*7.jpg")
        facts["seconds of a glob over all keys"] = time.perf_counter() - began
        rows = np.array(bench.base)
        for name, kept in keep.items():
            true = flat.exact(rows, queries, k=K, keep=kept).ids
            found = ours.search_vectors(queries, k=K, keep=kept).ids
            one = [ours.search_vectors(query, k=K, keep=kept).ids[0] for query in queries]
            times = rounds(
                {
                    "filtered": lambda kept=kept: [
                        ours.search_vectors(query, k=K, keep=kept) for query in queries
                    ],
                    "unfiltered": lambda: [ours.search_vectors(query, k=K) for query in queries],
                },
                repeats=bench.repeats,
            )
            slower = {
                clock: ratio(times["filtered"][clock], times["unfiltered"][clock])
                for clock in ("cpu", "wall")
            }
            facts[name] = {
                "rows_kept": int(kept.sum()),
                "recall": recall(found, true),
                "recall_single": recall(np.array(one), true),
                "times": times,
                "latency over unfiltered": slower,
            }
            print(
                f"{name}: {kept.sum():,} rows, recall {facts[name]['recall']:.3f}, single {facts[name]['recall_single']:.3f}, latency x {slower['cpu'].median:.2f}",
                flush=True,
            )
    return facts


def add(bench: Bench) -> dict[str, Any]:
    """Add one row in a hundred to a copy of the collection."""
    import retrieval

    built = json.loads((bench.work / f"{OURS}.json").read_text())
    extra = synthetic.queries(synthetic.Recipe(rows=bench.rows, dim=DIM), QUERIES + bench.rows // 100)[
        QUERIES:
    ]
    rows = np.concatenate([np.asarray(bench.base, dtype=np.float16), extra.astype(np.float16)])
    names = [f"{number * 100 // bench.rows:02}/{number}.jpg" for number in range(len(rows))]
    copy = bench.work / "grown"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bench.collection, copy)
    stored: list[float] = []

    def progress(event: Any) -> None:
        if event.phase == "store":
            stored[:] = [cpu_seconds(), time.perf_counter()]

    worked, began = cpu_seconds(), time.perf_counter()
    retrieval.build_index_from_vectors(copy, rows, names, progress=progress)
    ended, done = cpu_seconds(), time.perf_counter()
    with retrieval.open(copy) as grown:
        own = grown.search_vectors(extra[:200], k=1).ids[:, 0]
        latency = rounds(
            {"grown": lambda: [grown.search_vectors(query, k=K) for query in bench.queries[:200]]},
            repeats=bench.repeats,
        )
    with retrieval.open(bench.collection) as before:
        latency |= rounds(
            {"before": lambda: [before.search_vectors(query, k=K) for query in bench.queries[:200]]},
            repeats=bench.repeats,
        )
    shutil.rmtree(copy)
    facts = {
        "rows": len(extra),
        "found": float(np.mean(own == np.arange(bench.rows, bench.rows + len(own)))),
        "cpu_seconds_of_the_index": ended - stored[0],
        "seconds_of_the_index": done - stored[1],
        "cpu_seconds_with_comparing_all_rows": ended - worked,
        "seconds_with_comparing_all_rows": done - began,
        "rebuild_cpu_seconds": built["cpu_seconds"],
        "index over rebuild": (ended - stored[0]) / built["cpu_seconds"],
        "latency over before": ratios(latency["grown"], latency["before"])["cpu"],
    }
    print(facts, flush=True)
    return facts


def cold(bench: Bench) -> dict[str, Any]:
    """Time whole processes, page cache warm."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    command = [
        str(Path(sys.executable).with_name("retrieve")),
        "query",
        "--index",
        str(bench.collection),
        "--id",
        "5",
    ]

    def query() -> None:
        subprocess.run(command, check=True, capture_output=True, env=environment)

    def nothing() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True, env=environment)

    times = rounds({"query --id": query, "python": nothing}, repeats=2 * bench.repeats)
    opening = [bench.child("open") for _ in range(2 * bench.repeats)]
    facts = {
        "query --id": times["query --id"]["wall"],
        "python": times["python"]["wall"],
        "open and first search": spread([found["seconds"] for found in opening]),
    }
    for name, took in facts.items():
        print(
            f"{name}: {1000 * took.median:.0f} ms ({1000 * took.min:.0f}-{1000 * took.max:.0f})", flush=True
        )
    return facts


def open_here(bench: Bench) -> dict[str, Any]:
    """Open the collection and answer one query in a fresh process; modules are imported before."""
    import indexes.generation
    import indexes.store  # noqa: F401
    import retrieval.collection
    from indexes.backend import faiss

    query = bench.queries[:1]
    faiss()
    began = time.perf_counter()
    with retrieval.collection.open_collection(bench.collection) as ours:
        ours.search_vectors(query, k=K)
        return {"seconds": time.perf_counter() - began}


def real(bench: Bench) -> dict[str, Any]:
    """Ask real photographs' vectors by image and by words."""
    named = os.environ.get("RETRIEVAL_DATA")
    if not named:
        print("real: RETRIEVAL_DATA is not set", flush=True)
        return {"skipped": "RETRIEVAL_DATA is not set"}
    import csv

    import retrieval
    from indexes.backend import one_thread
    from retrieval.encoders.checked import checked_text

    root = Path(named) / "images"
    home = bench.work.parent / "photographs"
    report = retrieval.build_index(root, index=home, kind="ivfrabitq")
    with retrieval.open(home, root=root) as ours, one_thread():
        with (Path(named) / "captions" / "captions.csv").open(encoding="utf-8", newline="") as lines:
            pairs = list(csv.DictReader(lines))[:1000]
        words = checked_text(ours.encoder, [pair["caption"] for pair in pairs])
        images = np.concatenate(
            [ours.encode(Path(named) / "captions" / pair["file"]) for pair in pairs[:500]]
        )
        facts: dict[str, Any] = {"images": report.images, "factory": report.factory, "dim": report.width}
        for name, queries in {"image": images, "text": words}.items():
            true = ours.search_vectors(queries, k=K, exact=True).ids
            found = ours.search_vectors(queries, k=K).ids
            times = rounds(
                {
                    "index": lambda queries=queries: ours.search_vectors(queries, k=K),
                    "exact": lambda queries=queries: ours.search_vectors(queries, k=K, exact=True),
                },
                repeats=bench.repeats,
            )
            facts[name] = {
                "queries": len(queries),
                "recall": recall(found, true),
                "over exact": ratios(times["exact"], times["index"]),
            }
            print(f"{name} queries: recall {facts[name]['recall']:.3f}", flush=True)
    return facts


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "exact": exact_here,
    "stock-ours": lambda bench: stock(bench, plain=False),
    "stock-plain": lambda bench: stock(bench, plain=True),
    "open": open_here,
    "build": build_here,
    "memory": memory_here,
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
            facts = globals()[part](bench)
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

"""A whole collection in use: the parts ``collection``, ``filters``, ``add``, ``cold`` and ``real``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import synthetic
from benchmarks.frame import ratio, spread
from benchmarks.search.bench import (
    DIM,
    OURS,
    QUERIES,
    Array,
    Bench,
    K,
    cpu_seconds,
    ratios,
    recall,
    rounds,
    shown,
)


def collection(bench: Bench) -> dict[str, Any]:
    """Compare the whole way through a collection with its index and refinement called directly."""
    import retrieval
    from indexes.engine import ivf
    from indexes.engine.backend import faiss, faiss_threads, fp16_view, one_thread

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
                        times["collection"]["cpu"].values, times["faiss"]["cpu"].values, strict=True
                    )
                ]
            )
            facts["batches"][str(size)] = {"times": times, "ratio": against, "microseconds_more_a_call": more}
            shown(f"collection over faiss, batch {size}", against)
            print(f"  {more.median:.0f} µs of CPU more a call ({more.min:.0f} to {more.max:.0f})", flush=True)
    return facts


def filters(bench: Bench) -> dict[str, Any]:
    """Keep one row in a hundred, at random and by folder."""
    import retrieval
    from indexes.engine import flat
    from indexes.engine.backend import one_thread

    facts: dict[str, Any] = {}
    queries = bench.queries[:200]
    with retrieval.open(bench.collection) as ours, one_thread():
        keep = {
            "at random": np.random.default_rng(1).random(bench.rows) < 0.01,
            "by folder": ours.mask(under="42"),
        }
        began = time.perf_counter()
        ours.mask(glob="1?/*7.jpg")
        facts["seconds of a glob over all keys"] = time.perf_counter() - began
        rows = np.array(bench.base)
        for name, kept in keep.items():
            true = flat.exact(rows, queries, k=K, keep=kept).ids
            found = ours.search_vectors(queries, k=K, mask=kept).ids
            one = [ours.search_vectors(query, k=K, mask=kept).ids[0] for query in queries]
            times = rounds(
                {
                    "filtered": lambda kept=kept: [
                        ours.search_vectors(query, k=K, mask=kept) for query in queries
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
    rebuild = built["cpu_seconds"] + built["cpu_seconds_of_measuring"]
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
    retrieval.sync_vectors(copy, rows, names, progress=progress)
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
        "rebuild_cpu_seconds": rebuild,
        "index over rebuild": (ended - stored[0]) / rebuild,
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
    import indexes.search.generation
    import indexes.store.store  # noqa: F401
    import retrieval.collection.collection
    from indexes.engine.backend import faiss

    query = bench.queries[:1]
    faiss()
    began = time.perf_counter()
    with retrieval.collection.collection.open_collection(bench.collection) as ours:
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
    from indexes.engine.backend import one_thread
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

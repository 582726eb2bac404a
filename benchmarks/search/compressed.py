"""Compressed indexes beside their peers: the parts ``build`` and ``search``."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.frame import watch
from benchmarks.search.bench import (
    OURS,
    QUERIES,
    TARGET,
    Array,
    Bench,
    K,
    anonymous,
    cpu_seconds,
    kernels,
    ratios,
    recall,
    rounds,
    shown,
)
from benchmarks.search.engines import PEERS, Engine

Search = Callable[[Array, Any], Array]


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
    measured = ours + facts[OURS]["cpu_seconds_of_measuring"]
    peers = {name: found["cpu_seconds"] for name, found in facts.items() if name != OURS}
    return {
        "engines": facts,
        "CPU seconds over ours": {name: seconds / ours for name, seconds in peers.items()},
        "CPU seconds over ours with its recall measured": {
            name: seconds / measured for name, seconds in peers.items()
        },
    }


def build_here(bench: Bench, name: str) -> dict[str, Any]:
    """Build one, save it, and look at the memory of another process that has it open."""
    began, worked = time.perf_counter(), cpu_seconds()
    if name == OURS:
        import retrieval

        shutil.rmtree(bench.collection, ignore_errors=True)
        bench.collection.mkdir()
        keys = [f"{number * 100 // bench.rows:02}/{number}.jpg" for number in range(bench.rows)]
        spent = {"store": 0.0, "index": 0.0, "measuring": 0.0}
        now, since = "store", worked

        def progress(event: Any) -> None:
            nonlocal now, since
            at = cpu_seconds()
            spent[now] += at - since
            since = at
            if event.phase == "tune" and not event.done:
                now = "measuring"
            else:
                now = "store" if event.phase == "store" else "index"

        report = retrieval.sync_vectors(
            bench.collection,
            bench.work / "base.npy",
            keys,
            space="synthetic",
            kind="ivfrabitq",
            progress=progress,
        )
        facts: dict[str, Any] = {"report": {**report.to_json(), "root": None, "index": None}}
        spent[now] += cpu_seconds() - since
        # No peer stores its rows or measures what it finds: that is kept apart, and the index is what all of them build.
        facts |= {
            "cpu_seconds": spent["index"],
            "cpu_seconds_of_measuring": spent["measuring"],
            "cpu_seconds_of_the_store": spent["store"],
        }
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
    import retrieval.collection.collection  # noqa: F401
    from indexes.engine.backend import faiss

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
    from indexes.engine.backend import faiss, one_thread

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

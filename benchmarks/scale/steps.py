"""The steps that `bench_scale.py` runs, each in a process of its own: build, ask, change, list. Each prints JSON."""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from benchmarks.scale.made import QUERIES_SEED, MadeSource, drawn, key, world_of
from benchmarks.scale.processes import costs, forget_pages
from benchmarks.synthetic import intrinsic_dimension
from indexes.engine import ivf, tune
from indexes.engine.costs import Costs
from indexes.generation import INDEX, generation_path, read_manifest, store_path
from indexes.store import NewRow, VectorStore
from retrieval.sources.registry import BUILT_IN
from retrieval.testing import FakeEncoder

QUERIES, SINGLE, COLD, WARMING = 500, 200, 20, 4000
BLOCK = 16_384
SHARES = (0.001, 0.01, 0.1)
"""Of the rows, that filters keep."""


BUILT_IN[MadeSource.type] = "benchmarks.scale.made:MadeSource"


def build(home: str, vectors: str, keys: str, kind: str) -> dict[str, Any]:
    """Build a collection of an array and its keys."""
    began, said = time.monotonic(), []

    def told(event: Any) -> None:
        if event.message:
            said.append(f"{time.monotonic() - began:.1f} s  {event.phase}: {event.message}")
            print(said[-1], file=sys.stderr, flush=True)

    exact = [0.0]
    asked = tune.stored_questions

    def counted(*rows: Any, **options: Any) -> Any:
        started = time.process_time()
        try:
            return asked(*rows, **options)
        finally:
            exact[0] += time.process_time() - started

    tune.stored_questions = counted  # what every build asks exact search for, to measure its recall
    with costs() as facts:
        retrieval.sync_vectors(home, vectors, keys, space="scale", kind=kind, progress=told)
    return {**facts, "truth_cpu_s": round(exact[0], 2), "steps": said}


def ask(home: str, rows: str) -> dict[str, Any]:
    """Ask queries that are not stored: cold ones, single ones, a batch, filtered ones; compare with exact search."""
    with retrieval.open(home) as collection:
        queries = drawn(QUERIES, world_of(int(rows), collection.space.dim), QUERIES_SEED)
        facts: dict[str, Any] = {"rows": len(collection), **_cold(collection, queries)}
        # Warm: the pages that queries need are mapped, as they are in a process that has answered for a while.
        collection.search_vectors(
            drawn(WARMING, world_of(int(rows), collection.space.dim), QUERIES_SEED + 1), k=10
        )
        for query in queries[:50]:
            collection.search_vectors(query[np.newaxis], k=10)
        facts["single"] = _each(collection, queries[:SINGLE])
        with costs() as batch:
            found = collection.search_vectors(queries, k=10).ids
        facts["batch_cpu_ms"] = 1e3 * batch["cpu_s"] / QUERIES
        with costs() as every:
            true = collection.search_vectors(queries, k=10, exact=True)
        exact = true.ids
        facts["exact_cpu_ms"] = 1e3 * every["cpu_s"] / QUERIES
        facts["intrinsic_dimension"] = round(intrinsic_dimension(true.scores), 1)
        recall = [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
        facts["recall_at_10"] = round(float(np.mean(recall)), 4)
        facts["standard_error"] = round(float(np.std(recall) / len(recall) ** 0.5), 4)
        facts["filtered"] = _filtered(collection, queries[:50])
        index = collection.manifest.index
        names = ("kind", "factory", "nprobe", "shortlist", "recall_at_10", "base_rows")
        facts["index"] = {name: getattr(index, name, None) for name in names}
        facts["counted"] = _counted(
            collection.manifest, generation_path(collection.directory, collection.manifest.generation)
        )
    return facts


def _counted(manifest: Any, folder: Path) -> dict[str, float]:
    """Count the work of a query, and what it costs by the weights that tuning uses."""
    index = ivf.open_mapped(folder / INDEX)
    sizes = np.diff(ivf.ids_of_lists(index)[1]).astype(np.float64)
    settings = {"nprobe": manifest.index.nprobe, "shortlist": manifest.index.shortlist}
    return {
        "lists": len(sizes),
        "codes": round(settings["nprobe"] * float((sizes**2).sum() / sizes.sum()), 1),
        "candidates": settings["shortlist"],
        "microseconds": Costs(index, width=manifest.space.dim).microseconds(**settings),
    }


def _cold(collection: Any, queries: Any) -> dict[str, float]:
    """Ask when the system keeps nothing of the files in memory; the first answer opens the index."""
    forget_pages(collection.directory)
    with costs() as first:
        collection.search_vectors(queries[-1:], k=10)
    with costs() as rest:
        for query in queries[-1 - COLD : -1]:
            collection.search_vectors(query[np.newaxis], k=10)
    return {
        "first_answer_ms": 1e3 * first["wall_s"],
        "first_answer_cpu_ms": 1e3 * first["cpu_s"],
        "cold_ms": 1e3 * rest["wall_s"] / COLD,
    }


def _each(collection: Any, queries: Any, **options: Any) -> dict[str, float]:
    """Ask queries one by one; return the CPU time of one, and its median on the clock."""
    took = []
    with costs() as facts:
        for query in queries:
            began = time.perf_counter()
            collection.search_vectors(query[np.newaxis], k=10, **options)
            took.append(time.perf_counter() - began)
    return {
        "cpu_ms": round(1e3 * facts["cpu_s"] / len(queries), 4),
        "median_ms": round(1e3 * float(np.median(took)), 4),
    }


def _filtered(collection: Any, queries: Any) -> dict[str, Any]:
    """Ask queries with a mask of some rows, of any folder, and with a folder."""
    count, rng = collection.manifest.count, np.random.default_rng(2)
    facts: dict[str, Any] = {}
    for share in SHARES:
        facts[f"mask {share}"] = _each(collection, queries, mask=rng.random(count) < share)
    facts["under"] = _each(collection, queries, under="albums/00007")
    live = np.flatnonzero(collection.mask(under=""))
    facts["ids"] = _each(collection, queries, ids=rng.choice(live, 1000, replace=False).tolist())
    return facts


def change(home: str, rows: str, times: str) -> dict[str, Any]:
    """Add a hundredth of the rows so many times, each in one call, then delete a hundredth."""
    first, times_ = int(rows), int(times)
    share = first // 100
    with retrieval.open(home) as collection:
        around = world_of(first, collection.space.dim)
        collection.search_vectors(drawn(1, around, 5), k=10)
        adds = []
        for number in range(times_):
            start = first + number * share
            block = drawn(share, around, start)
            keys = [key(row) for row in range(start, start + share)]
            with costs() as facts:
                collection.add(block, keys)
            with costs() as searched:
                found = collection.search_vectors(block[-1:], k=1)
            if found.ids[0, 0] != start + share - 1:
                raise SystemExit(f"row {start + share - 1} was added, and {found.ids[0, 0]} found")
            adds.append({**facts, "first_search_cpu_ms": round(1e3 * searched["cpu_s"], 2)})
            print(f"add {number}: {adds[-1]}", file=sys.stderr, flush=True)
        gone = np.random.default_rng(3).choice(first, share, replace=False)
        with costs() as deleted:
            collection.delete(ids=np.sort(gone))
    return {
        "rows_each": share,
        "float16_bytes_each": 2 * collection.space.dim * share,
        "adds": adds,
        "delete": deleted,
    }


def delete(home: str, rows: str, times: str) -> dict[str, Any]:
    """Delete a hundredth of the rows so many times, each in one call."""
    share = int(rows) // 100
    chosen = np.random.default_rng(3).permutation(int(rows))[: share * int(times)].reshape(-1, share)
    deletes = []
    with retrieval.open(home) as collection:
        for ids in chosen:
            with costs() as facts:
                collection.delete(ids=np.sort(ids))
            deletes.append(facts)
    return {"rows_each": share, "deletes": deletes}


def made_source(home: str, rows: str) -> dict[str, Any]:
    """Make a collection with a row for each entry of a `MadeSource`, as a build would leave it.

    Returns:
        what the last build costs, which publishes the rows. Storing them before takes a little longer than that, and together both write
        what lies on disk in the end, 276 bytes a row.
    """
    encoder = FakeEncoder(dim=16)
    with retrieval.create(home, encoder=encoder):
        pass
    directory = Path(home) / ".retrieve"
    retrieval.build_index(MadeSource(), index=directory, encoder=encoder, progress=False)
    manifest = read_manifest(directory)
    (number,) = (one.number for one in manifest.sources if one.type == MadeSource.type)
    rng = np.random.default_rng(0)
    MadeSource.count = int(rows)
    with VectorStore.open(store_path(directory, manifest), dim=16, writable=True) as store:
        entries = list[Any]()

        def put() -> None:
            vectors = rng.standard_normal((len(entries), 16)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            store.append(
                vectors,
                [
                    NewRow(key=entry.key, stamp=entry.stamp, source=number, content=entry.key[-16:])
                    for entry in entries
                ],
            )
            entries.clear()
            if store.pending > 1_000_000:
                store.commit()

        for entry in islice(MadeSource().entries(), 1, None):
            entries.append(entry)
            if len(entries) == BLOCK:
                put()
        if entries:
            put()
        store.commit()
    with costs() as facts:
        retrieval.build_index(MadeSource(), index=directory, encoder=encoder, kind="flat", progress=False)
    return facts


def listed(home: str, rows: str) -> dict[str, Any]:
    """Build over a source in which nothing has changed."""
    MadeSource.count = int(rows)
    with costs() as facts:
        report = retrieval.build_index(
            MadeSource(), index=Path(home) / ".retrieve", encoder=FakeEncoder(dim=16), progress=False
        )
    if report.images != int(rows) or report.encoded or report.removed:
        raise SystemExit(f"not an unchanged build: {report}")
    return facts


STEPS = {step.__name__: step for step in (build, ask, change, delete, made_source, listed)}

if __name__ == "__main__":
    json.dump(STEPS[sys.argv[1]](*sys.argv[2:]), sys.stdout)

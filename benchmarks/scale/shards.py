"""The parts ``shards``, ``actors`` and ``encoding``: eight shards beside one collection, in this process and in others; images encoded by two."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import retrieval
from benchmarks.scale.made import BLOCK, QUERIES_SEED, drawn, key, world_of
from indexes.generation import SHIFT, Shards, Source, shard_name
from retrieval.collection.rows import sync_vectors
from retrieval.collection.sharded.rows import Asked, publish_shards
from retrieval.distributed import open_cluster

SHARDS, QUERIES, BATCH, ROUNDS = 8, 256, 64, 5
MANY, MANY_ROUNDS = 4096, 9
"""Queries and rounds of searches through processes. After a search with two threads the second one waits busily for some
milliseconds (OpenMP), so one turn is to be much longer than that."""

BUILDS = 3
"""How often images are encoded by one process and by two, in turn."""

BYTES_AN_IMAGE = 100_000
"""More than an image of the part ``encoding`` takes, with its rows in both collections."""


def needed(rows: int, dim: int) -> int:
    """Return the bytes of disk that both need, with what lies there while they are built."""
    return rows * (8 * dim + 400)


def run(work: Path, rows: int, dim: int, kind: str) -> dict[str, Any]:
    """Build both, and ask both the same queries in turn: CPU time of single queries and of batches, and recall."""
    work = _place(work, rows)
    around = world_of(rows, dim)
    built = _build(work, rows, dim, kind)
    queries = drawn(QUERIES, around, QUERIES_SEED)
    with retrieval.open(work / "one") as one, retrieval.open(work / "shards") as many:
        truth = one.search_vectors(queries, k=10, exact=True).ids
        first = one.search_vectors(queries, k=10).ids
        other = _rows(many.search_vectors(queries, k=10).ids, rows)
        facts = {
            "one": {"recall_at_10": _recall(first, truth), **_index(one)},
            "shards": {"recall_at_10": _recall(other, truth), **_index(many)},
        }
        ways: dict[str, Callable[[Any], object]] = {
            "single": lambda asked: [asked.search_vectors(query, k=10) for query in queries],
            "batches": lambda asked: [
                asked.search_vectors(queries[start : start + BATCH], k=10)
                for start in range(0, QUERIES, BATCH)
            ],
        }
        for name, way in ways.items():
            facts[f"cpu_ratio_{name}"] = _in_turn(one, many, way, time.process_time)
    return {"rows": rows, "shards": SHARDS, "build": built, **facts}


def run_actors(work: Path, rows: int, dim: int, kind: str) -> dict[str, Any]:
    """Search eight shards through local processes and in this one, in batches."""
    work = _place(work, rows)
    if not (work / "shards").exists():
        _build(work, rows, dim, kind)
    queries = drawn(MANY, world_of(rows, dim), QUERIES_SEED)

    def asked(collection: Any) -> object:
        return [
            collection.search_vectors(queries[start : start + BATCH], k=10) for start in range(0, MANY, BATCH)
        ]

    with (
        retrieval.open(work / "shards") as here,
        retrieval.open(work / "shards", cluster="local") as there,
    ):
        same = float(
            np.mean(here.search_vectors(queries, k=10).ids == there.search_vectors(queries, k=10).ids)
        )
        slower = _in_turn(here, there, asked, time.perf_counter, queries=MANY, rounds=MANY_ROUNDS)
    return {
        "rows": rows,
        "shards": SHARDS,
        "same_answers": round(same, 4),
        "queries": MANY,
        "batch": BATCH,
        "search_rate_of_actors": _inverse(slower),
    }


def _place(work: Path, rows: int) -> Path:
    """Return where the collections of a size lie, which both parts use."""
    place = work / str(rows)
    place.mkdir(exist_ok=True)
    return place


def run_encoding(work: Path, images: int) -> dict[str, Any]:
    """Encode the same images by one process with all cores and by two processes, each with a model of its own.

    The two are started, import and load the model within what is measured; the one has its model from the second time on.
    """
    root = work / f"images-{images}"
    if not root.exists():
        rng = np.random.default_rng(0)
        for number in range(images):
            path = root / f"{number % 16}/{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            small.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    began = time.perf_counter()
    with open_cluster("local:2") as cluster:
        for answer in [cluster.submit(os.getpid) for _ in range(2)]:
            answer.get()
        starting = round(time.perf_counter() - began, 3)
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for number in range(BUILDS):
        order = [("one", "here"), ("two", "local:2")]
        for name, cluster in order if number % 2 else order[::-1]:
            place = work / f"encoded-{name}"
            shutil.rmtree(place, ignore_errors=True)
            began = time.perf_counter()
            report = retrieval.build_index(
                root, index=place, shards=2, cluster=cluster, encoder="nano", progress=False
            )
            seconds[name].append(round(time.perf_counter() - began, 3))
            assert report.encoded == images
    rates = [one / two for one, two in zip(seconds["one"], seconds["two"], strict=True)]
    return {
        "images": images,
        "seconds_of_one_process": seconds["one"],
        "seconds_of_two_processes": seconds["two"],
        "seconds_until_two_processes_answer": starting,
        "rate_of_two_processes": {
            "median": round(statistics.median(rates), 3),
            "least": round(min(rates), 3),
            "most": round(max(rates), 3),
        },
    }


def _build(work: Path, rows: int, dim: int, kind: str) -> dict[str, Any]:
    """Store the same rows as one collection and as eight shards."""
    around, per = world_of(rows, dim), rows // SHARDS
    assert rows == per * SHARDS, f"{rows} rows are not eight equal shards"
    whole = np.empty((rows, dim), dtype=np.float16)
    for start in range(0, rows, BLOCK):
        block = drawn(min(BLOCK, rows - start), around, start)
        whole[start : start + len(block)] = block
    keys = [key(number) for number in range(rows)]
    began = time.process_time()
    sync_vectors(work, whole, keys, space="made", index=work / "one", kind=kind, progress=False)
    of_one = time.process_time() - began
    began = time.process_time()
    for number in range(SHARDS):
        part = slice(number * per, (number + 1) * per)
        place = work / "shards" / shard_name(number)
        sync_vectors(work, whole[part], keys[part], space="made", index=place, kind="flat", progress=False)
    with open_cluster(None) as here:
        made: Shards = publish_shards(
            work / "shards",
            {number: [(str(number), "")] for number in range(SHARDS)},
            Source(path=os.fspath(work)),
            Asked(kind=kind),
            here,
            before=None,
            phrases=dict,
        )
    of_shards = time.process_time() - began
    assert made.index.kind != "flat", "too few rows for lists"
    return {"cpu_s_one": round(of_one, 2), "cpu_s_shards": round(of_shards, 2)}


def _rows(ids: np.ndarray, rows: int) -> np.ndarray:
    """Return the rows of the array that ids of shards stand for."""
    return np.where(ids < 0, -1, (ids >> SHIFT) * (rows // SHARDS) + (ids & ((1 << SHIFT) - 1)))


def _recall(found: np.ndarray, truth: np.ndarray) -> float:
    return round(
        float(
            np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
        ),
        4,
    )


def _index(collection: Any) -> dict[str, Any]:
    index = collection.manifest.index
    return {"factory": index.factory, "nprobe": index.nprobe, "shortlist": index.shortlist}


def _in_turn(
    one: Any,
    other: Any,
    way: Callable[[Any], object],
    clock: Callable[[], float],
    *,
    queries: int = QUERIES,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Return what the other costs beside the one, by a clock, round by round in changing order."""
    taken: dict[str, list[float]] = {"one": [], "other": []}
    for number in range(-1, rounds):
        order = [("one", one), ("other", other)]
        for name, collection in order if number % 2 else order[::-1]:
            began = clock()
            way(collection)
            if number >= 0:
                taken[name].append(clock() - began)
    ratios = [b / a for a, b in zip(taken["one"], taken["other"], strict=True)]
    return {
        "median": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "microseconds_one": round(1e6 * statistics.median(taken["one"]) / queries, 1),
        "microseconds_other": round(1e6 * statistics.median(taken["other"]) / queries, 1),
    }


def _inverse(slower: dict[str, Any]) -> dict[str, float]:
    return {
        "median": round(1 / slower["median"], 3),
        "least": round(1 / slower["most"], 3),
        "most": round(1 / slower["least"], 3),
        "microseconds_here": slower["microseconds_one"],
        "microseconds_there": slower["microseconds_other"],
    }

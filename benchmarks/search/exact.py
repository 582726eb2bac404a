"""Exact search beside plain `faiss.IndexFlatIP`, over vectors drawn here: the parts ``data`` and ``exact``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import synthetic
from benchmarks.frame import ratio, spread
from benchmarks.search.bench import DIM, QUERIES, Array, Bench, K, kernels, ratios, recall, rounds, shown


def data(bench: Bench) -> dict[str, Any]:
    """Draw vectors and queries, and find the exact neighbours."""
    from indexes.engine import flat

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
    from indexes.engine.backend import _best_kernels, _cpu_flags

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
    from indexes.engine import backend, flat

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
        from indexes.engine import flat

        halves = np.array(bench.base)
        run = lambda: flat.exact(halves, queries, k=K)  # noqa: E731
    times = rounds({"it": run}, repeats=2)["it"]
    return {"cpu": times["cpu"].min, "wall": times["wall"].min, "kernels": kernels()}

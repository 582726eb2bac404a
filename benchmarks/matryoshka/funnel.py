"""First stages on prefixes against exact search over many rows: agreement, and the time of one query and of a batch."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retrieval
from benchmarks.frame import alternate, ratio, spread
from benchmarks.matryoshka.data import Data, Floats, note
from indexes.engine.backend import faiss, one_thread
from indexes.engine.scan.flat import exact
from indexes.vectors.arrays import unit_rows


def fill_up(real: Floats, seen: Floats, of: NDArray[np.int64], count: int) -> NDArray[np.float16]:
    """Add made vectors to real ones and views, as this script's first lines say, until there are ``count``.

    Args:
        real: ``(n, d)`` vectors of photographs.
        seen: ``(v, d)`` vectors of views.
        of: ``(v,)`` the photograph that each is a view of.
        count: rows wanted.
    """
    near = exact(real.astype(np.float16), real, k=11).ids[:, 1:]  # (n, 10)
    changes = seen - real[of]
    rng = np.random.default_rng(0)
    rows = np.empty((count, real.shape[1]), dtype=np.float16)
    rows[: len(real)] = real[:count]
    rows[len(real) : len(real) + len(seen)] = seen[: max(0, count - len(real))]
    for start in range(len(real) + len(seen), count, 65_536):
        size = min(65_536, count - start)
        base = rng.integers(len(real), size=size)
        other = near[base, rng.integers(10, size=size)]
        part = rng.uniform(0.1, 0.5, (size, 1)).astype(np.float32)
        made = real[base] + part * (real[other] - real[base]) + changes[rng.integers(len(changes), size=size)]
        rows[start : start + size] = unit_rows(made)
    return rows


def funnel(data: Data, *, count: int, views: int, queries: int, repeats: int) -> dict[str, Any]:
    """Compare first stages on prefixes with exact search over many rows."""
    everything = np.arange(len(data.photos))[: data.most * 10 if data.most else None]
    real = data.vectors(everything, "all")
    of = np.random.default_rng(1).permutation(len(everything))[:views]
    seen = data.views(everything[of], "views", seed=1)
    rows = fill_up(real, seen, of, count)
    whose = np.random.default_rng(2).permutation(len(everything))[:queries]
    asked = data.views(everything[whose], "queries", seed=2)
    space = data.encoder.space
    truth = exact(rows, asked, k=10)
    plans = {
        "funnel 16": {"kind": "flat", "truncate_dim": 16},
        "funnel 32": {"kind": "flat", "truncate_dim": 32},
        "funnel 64": {"kind": "flat", "truncate_dim": 64},
        "ivfrabitq 64": {"kind": "ivfrabitq", "truncate_dim": 64},
        "ivfrabitq 256": {"kind": "ivfrabitq"},
        "auto": {"kind": "auto", "truncate_dim": "auto"},
    }
    names = [str(number) for number in range(len(rows))]
    plain = faiss().IndexFlatIP(space.dim)
    plain.add(rows.astype(np.float32))
    found: dict[str, Any] = {}
    tried: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(dir=data.work) as place:
        folder = Path(place) / "c"
        for name, plan in plans.items():
            lines: list[str] = []
            began = time.perf_counter()
            report = retrieval.sync_vectors(
                folder, rows, names, space=space, target_recall=0.97, **plan,
                progress=lambda event, lines=lines: lines.append(event.message) if event.message else None,
            )  # fmt: skip
            seconds = time.perf_counter() - began
            tried[name] = [line for line in lines if line.startswith(("tried", "chosen", "recall"))]
            note(
                f"{name}: {report.kind} {report.factory} {report.dim}, recall@10 {report.recall_at_10}; {lines[-1:]}"
            )
            with retrieval.open(folder) as collection:
                found[name] = _compared(collection, plain, asked, truth, repeats=repeats) | {
                    "kind": report.kind,
                    "factory": report.factory,
                    "dim": report.dim,
                    "nprobe": collection.manifest.index.nprobe,
                    "shortlist": collection.manifest.index.shortlist,
                    "bytes_per_vector": report.bytes_per_vector,
                    "recall_at_10_stored_rows": report.recall_at_10,
                    "build_seconds": round(seconds, 1),
                }
            note(
                f"{name}: top-1 {found[name]['top1_agreement']:.4f}, single "
                f"{found[name]['single: exact over this'].median:.1f}x, batch {found[name]['batch: exact over this'].median:.1f}x"
            )
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "rows": {"real": len(real), "views": len(seen), "made": count - len(real) - len(seen), "all": count},
        "width": space.dim,
        "space": f"{space.name} {space.fingerprint[:12]}",
        "queries": queries,
        "plans": found,
        "told": tried,
    }


def _compared(
    collection: retrieval.Collection, plain: Any, asked: Floats, truth: Any, *, repeats: int
) -> dict[str, Any]:
    """Measure one collection beside its own exact search and FAISS's flat index, alternating."""
    singles = asked[:32]
    module = faiss()

    def alone(search: Callable[[Floats], Any]) -> Callable[[], None]:
        def run() -> None:
            for query in singles:
                search(query[np.newaxis])

        return run

    contenders = {
        "this": lambda some: collection.search_vectors(some, k=10),
        "exact": lambda some: collection.search_vectors(some, k=10, exact=True),
        "IndexFlatIP": lambda some: plain.search(some, 10),
    }
    with one_thread():
        module.omp_set_num_threads(1)
        single = alternate({name: alone(search) for name, search in contenders.items()}, repeats=repeats)
        batch = alternate(
            {
                name: (lambda search=search: search(asked))
                for name, search in contenders.items()
                if name != "IndexFlatIP"
            },
            repeats=min(3, repeats),
        )
    ids = collection.search_vectors(asked, k=10).ids
    return {
        "top1_agreement": round(float((ids[:, 0] == truth.ids[:, 0]).mean()), 4),
        "recall_at_10": round(float((ids[:, :, None] == truth.ids[:, None, :]).any(2).mean()), 4),
        "single_ms": {
            name: spread([1000 * value / len(singles) for value in taken.values])
            for name, taken in single.items()
        },
        "single: exact over this": ratio(single["exact"], single["this"]),
        "single: IndexFlatIP over this": ratio(single["IndexFlatIP"], single["this"]),
        "batch_ms": {
            name: spread([1000 * value / len(asked) for value in taken.values])
            for name, taken in batch.items()
        },
        "batch: exact over this": ratio(batch["exact"], batch["this"]),
    }

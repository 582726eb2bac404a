"""Measure what a query takes in the middle of an upgrade, beside one before it and one after it.

Vectors are seeded: the new space is the old one turned, bent and with noise. Old rows have the index that a build gives them; rows
that were encoded again have the one that a backfill gives them. Queries alternate,
one at a time; ratios are of CPU time, which other processes disturb least, and of wall time. No query is encoded.
Besides, the CPU time of a map between wide spaces, of one query and of one of 64 together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import save, spread, watch
from benchmarks.synthetic import Recipe, queries, vectors
from indexes.derivation import derive
from indexes.generation import read_manifest
from indexes.migration import SERVED, Background, Calibration, Mixture, Staging
from indexes.search import Generation
from indexes.store import RERANK, NewRow, RerankRows, VectorStore
from indexes.vectors import (
    Ids,
    Neighbors,
    Space,
    Vectors,
    linear_maps,
    one_blas_thread,
    rescored,
    unit_rows,
)
from retrieval.collection import Fitted

DIMS = (256, 384)
ASKED, K = 200, 10
MAPS = ((1280, 1280), (1280, 384), (384, 1280))
RANKS = (None, 256, 192)
SHARES = (0.05, *(round(0.1 * tenth, 1) for tenth in range(1, 10)), 0.95)
_SAMPLE, _BLOCK = 5_000, 20_000
OLD, NEW = (
    Space(name=name, dim=dim, fingerprint=name) for name, dim in zip(("old", "new"), DIMS, strict=True)
)


def query_time(work: Path, *, rows: int, repeats: int) -> None:
    """Measure at a few shares of the backfill; what is built lies in ``work`` and is used again."""
    recipe = Recipe(rows=rows, dim=DIMS[0])
    old, old_queries = vectors(recipe), queries(recipe, ASKED)
    new, new_queries = _renewed(old, seed=1), _renewed(old_queries, seed=2)
    order = np.random.default_rng(0).permutation(rows)
    home = work / f"time-{rows}"
    before, after = (_built(home / space.name, part, space) for space, part in ((OLD, old), (NEW, new)))
    background = Background.of(old[order[:_SAMPLE]], new[order[:_SAMPLE]], moved=True)
    scores = background.scores(old_queries, new_queries, old, new)
    results = []
    with watch() as load:
        for share in SHARES:
            renewed = order[: round(share * rows)]
            table = np.full(rows, -1, dtype=np.int64)
            table[renewed] = np.arange(len(renewed))
            staging = _staged(home / f"staged-{share}", new[renewed], renewed)
            fresh = RerankRows.open(staging / RERANK, dim=NEW.dim, count=len(renewed)).rows
            mixture = Mixture(
                before,
                np.asarray(fresh),
                table,
                space=NEW,
                calibrations={"image": Calibration()},
                background=background,
                staging=staging,
            )
            truth = np.argsort(-np.where(table >= 0, scores[1], scores[0]), axis=1)[:, :K]
            results.append(
                {"share": share, "staged": read_manifest(staging).index.kind}
                | _compared(before, after, mixture, old_queries, new_queries, truth, repeats=repeats)
            )
            mixture.close()
            print(_line(results[-1]), flush=True)
    save(
        "upgrade_query_time",
        load=load,
        parameters={
            "rows": rows,
            "dims": DIMS,
            "queries": ASKED,
            "k": K,
            "repeats": repeats,
        },
        shares=results,
        maps=map_times(repeats=repeats),
    )


@one_blas_thread()
def map_times(*, repeats: int) -> list[dict[str, Any]]:
    """Measure the CPU microseconds that a rotation between wide spaces takes a query, whole and by fewer directions."""
    found = []
    for source, target in MAPS:
        draws = np.random.default_rng(0)
        new, old = (
            unit_rows(draws.standard_normal((2_000, dim)).astype(np.float32)) for dim in (source, target)
        )
        spaces = [Space(name=str(dim), dim=dim, fingerprint=str(dim)) for dim in (source, target)]
        for step in linear_maps.centred_rotations(*spaces, new, old, ranks=RANKS):
            way = Fitted(method="procrustes", image=step, back=step)
            facts = {"from": source, "to": target, "directions": step.facts.get("rank")}
            for size in (1, 64):
                facts[f"of {size}"] = spread([_map_microseconds(way, new, size=size) for _ in range(repeats)])
            found.append(facts)
            print({key: getattr(value, "median", value) for key, value in facts.items()}, flush=True)
    return found


def _map_microseconds(way: Fitted, new: Vectors, *, size: int) -> float:
    """Return the median over batches of ``size`` queries of the CPU time that one of them takes."""
    taken = []
    for start in range(ASKED):
        part = new[start : start + size]
        began = time.thread_time()
        way.queries(part, None)
        taken.append(time.thread_time() - began)
    return round(float(np.median(taken)) * 1e6 / size, 2)


def _renewed(rows: Vectors, *, seed: int) -> Vectors:
    """Return the rows as another encoder might see them."""
    draws = np.random.default_rng(5)
    turn = np.linalg.qr(draws.standard_normal((DIMS[1], DIMS[1])))[0][: DIMS[0]].astype(np.float32)
    bend = (draws.standard_normal(DIMS) / np.sqrt(DIMS[0])).astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal((len(rows), DIMS[1])).astype(np.float32)
    return unit_rows(rows @ turn + 0.5 * np.tanh(2 * rows @ bend) + 0.02 * noise)


def _built(home: Path, rows: Vectors, space: Space) -> Generation:
    if not (home / "manifest.json").exists():
        with VectorStore.create(home, dim=space.dim) as store:
            for start in range(0, len(rows), _BLOCK):
                part = rows[start : start + _BLOCK]
                store.append(part, [NewRow(key=b"%d" % (start + place)) for place in range(len(part))])
                store.commit()
            derive(home, store, space=space, encoder=None)
    return Generation.open(home, read_manifest(home))


def _staged(home: Path, rows: Vectors, ids: Ids) -> Path:
    """Stage rows as a backfill does."""
    if not (home / "manifest.json").exists():
        with Staging.open(home, dim=NEW.dim) as staging:
            staging.append(ids, rows, [b""] * len(rows), state=SERVED)
            staging.commit()
            staging.index(NEW, whole=True)
    return home


def _compared(
    before: Generation,
    after: Generation,
    mixture: Mixture,
    old: Vectors,
    new: Vectors,
    truth: Ids,
    *,
    repeats: int,
) -> dict[str, Any]:
    def ordinary(generation: Generation, rows: Vectors) -> Callable[[slice], Neighbors]:
        return lambda one: rescored(generation.search(rows[one], k=K), rows[one], generation.rows)

    contenders: dict[str, Callable[[slice], Any]] = {
        "before": ordinary(before, old),
        "after": ordinary(after, new),
        "during": lambda one: mixture.search(new[one], old[one], k=K),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for round_ in range(-1, repeats):
        seconds = {name: np.empty((len(old), 2)) for name in contenders}
        for number in range(len(old)):
            for name, ask in contenders.items():
                cpu, wall = time.thread_time(), time.perf_counter()
                ask(slice(number, number + 1))
                seconds[name][number] = time.thread_time() - cpu, time.perf_counter() - wall
        if round_ >= 0:
            for name, both in seconds.items():
                taken[name].append(tuple(np.median(both, axis=0)))
    found = mixture.search(new, old, k=K).ids
    facts: dict[str, Any] = {
        "recall": float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)])),
        "milliseconds": {
            name: {"cpu": round(1e3 * cpu, 4), "wall": round(1e3 * wall, 4)}
            for name, (cpu, wall) in ((name, np.median(rounds, axis=0)) for name, rounds in taken.items())
        },
    }
    for place, clock in enumerate(("cpu", "wall")):
        for name in ("before", "after"):
            pairs = zip(taken["during"], taken[name], strict=True)
            facts[f"{clock}_over_{name}"] = spread([mine[place] / other[place] for mine, other in pairs])
    return facts


def _line(facts: dict[str, Any]) -> str:
    return f"{facts['share']:.0%} encoded again: " + ", ".join(
        [
            *(
                f"{name} {facts[name].median:.2f} ({facts[name].min:.2f} to {facts[name].max:.2f})"
                for name in ("cpu_over_before", "cpu_over_after", "wall_over_after")
            ),
            f"recall {facts['recall']:.3f}",
        ]
    )

"""Measure maps that bend (`benchmarks.upgrade.bent_maps`) beside the library's rotation and ridge regression.

Each kind is fitted and chosen as in `benchmarks.upgrade.pairs`, and the share of both encoders' mixture in the old gallery.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import save, spread, watch
from benchmarks.upgrade.bent_maps import KINDS, LANDMARKS, Move
from benchmarks.upgrade.pairs import Asked, Encoded, K, drawn, encoded
from benchmarks.upgrade.photographs import QUERIES, photographs
from indexes.migration import Background, alignment
from indexes.vectors import Vectors, one_blas_thread, unit_rows
from retrieval.upgrades.trial.measurement import background_of

PAIRS = (("colour", "nano@1"), ("colour", "mobilenet"), ("nano@1", "mobilenet"), ("nano@2", "mobilenet"))
_TIMED = 200


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Ask the old gallery by a map, alone or together with the old query.

    Attributes:
        move: the map.
        alpha: the share of the mapped query; None for the map alone.
    """

    move: Move
    alpha: float | None = None

    def queries(self, new: Vectors, old: Vectors) -> Vectors:
        """Return ``(q, d_old)`` unit rows, as `retrieval.collection.Fitted.queries`."""
        mapped = unit_rows(self.move(new), what="mapped queries")
        return mapped if self.alpha is None else alignment.slerp(old, mapped, self.alpha)


def _one(old: Encoded, new: Encoded, asked: Asked, *, seed: int) -> dict[str, Any]:
    """Fit and measure every kind with one draw of the sample."""
    count = len(asked.gallery)
    sample, fitted, rest, select = drawn(old, new, asked, seed=seed)
    renewed = np.zeros(count, dtype=np.bool_)
    renewed[sample] = True
    side = Background.of(old.gallery[sample], new.gallery[sample], moved=True).new
    asked_new = {"queries": side.asked(new.queries, moved=True), "crops": side.asked(new.crops, moved=True)}
    of_new = {name: side.scores(rows, new.gallery) for name, rows in asked_new.items()}
    old_old, new_new = (
        asked.accuracy(old.queries @ old.gallery.T),
        asked.accuracy(new.queries @ new.gallery.T),
    )
    whole = asked.recall(new.crops @ new.gallery.T)

    def mixed(way: Asking, final: Asking) -> dict[str, float]:
        taken: Any = way
        background = background_of(taken, select, old=old.gallery[sample], new=new.gallery[sample])

        def scores(name: str) -> Any:
            mapped = final.queries(getattr(new, name), getattr(old, name))
            rows = background.old.asked(mapped, moved=background.moved)
            return np.where(
                renewed,
                of_new[name],
                background.on_new_scale(
                    background.old.scores(rows, old.gallery),
                    background.old.level(rows),
                    side.level(asked_new[name]),
                ),
            )

        start = asked.accuracy(scores("queries"))
        return {
            "start": start,
            "share": (start - old_old) / (new_new - old_old),
            "crops_kept": asked.recall(scores("crops")) / whole,
        }

    kinds = {}
    for name, (fit, settings) in KINDS.items():
        began = time.process_time()
        found = [(fit(new.gallery[fitted], old.gallery[fitted], **some), some) for some in settings]
        move, some = max(
            found, key=lambda pair: select.score(Asking(move=pair[0]).queries(select.new, select.old))
        )
        way = Asking(move=move)
        final = Asking(move=fit(new.gallery[rest], old.gallery[rest], **some))
        seconds = time.process_time() - began
        alpha = alignment.best_alpha(select.old, way.queries(select.new, select.old), score=select.score)
        kinds[name] = {
            "settings": some,
            "fit_cpu_seconds": round(seconds, 2),
            "alone": asked.accuracy(final.queries(new.queries, old.queries) @ old.gallery.T),
            "one encoder": mixed(way, final),
            "both encoders": {"alpha": alpha}
            | mixed(Asking(move=move, alpha=alpha), Asking(move=final.move, alpha=alpha)),
            "microseconds": _microseconds(final, new),
        }
    return {"seed": seed, "old_old": old_old, "new_new": new_new, "kinds": kinds}


def _microseconds(way: Asking, new: Encoded) -> dict[str, float]:
    """Return the CPU time to map one query, and one of 64 together; medians."""
    found = {}
    for size in (1, 64):
        taken = []
        for start in range(_TIMED):
            began = time.thread_time()
            way.queries(new.queries[start : start + size], new.queries[:0])
            taken.append(time.thread_time() - began)
        found[f"of {size}"] = round(float(np.median(taken)) * 1e6 / size, 2)
    return found


@one_blas_thread()
def further_maps(data: Path, work: Path, *, seeds: int, pairs: list[tuple[str, ...]] | None = None) -> None:
    """Measure every kind between encoders whose rows ``work`` holds. Draws are kept there; all that are kept are summarised."""
    seen = photographs(data)
    asked = Asked.of(seen)
    results = []
    with watch() as load:
        for names in pairs or PAIRS:
            old, new = (encoded(name, seen, data=data, work=work) for name in names)
            kept = work / "further" / "-".join(names).replace("@", "")
            kept.mkdir(parents=True, exist_ok=True)
            for seed in range(seeds):
                if not (kept / f"{seed}.json").exists():
                    (kept / f"{seed}.json").write_text(json.dumps(_one(old, new, asked, seed=seed)))
            runs = [json.loads(file.read_text()) for file in sorted(kept.glob("*.json"))]
            results.append({"old": names[0], "new": names[1], **_summary(runs), "runs": runs})
            _report(results[-1])
    save(
        "upgrade_further_maps",
        load=load,
        parameters={"gallery": len(asked.gallery), "queries": QUERIES, "landmarks": LANDMARKS, "k": K},
        pairs=results,
    )


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the spread over draws of what each kind reaches, and of how much more that is than the rotation reaches."""
    kinds: dict[str, Any] = {}
    for name in KINDS:
        kinds[name] = {}
        for way in ("one encoder", "both encoders"):
            for key in ("share", "crops_kept"):
                values = [float(run["kinds"][name][way][key]) for run in runs]
                usual = [float(run["kinds"]["rotation"][way][key]) for run in runs]
                kinds[name][f"{way}: {key}"] = spread(values)
                kinds[name][f"{way}: {key} over rotation"] = spread(
                    [value - base for value, base in zip(values, usual, strict=True)]
                )
    far = [run["kinds"]["rotation"]["alone"] < run["old_old"] for run in runs]
    return {"far": far, "kinds": kinds}


def _report(result: dict[str, Any]) -> None:
    print(f"{result['old']} -> {result['new']}, far {result['far']}", flush=True)
    for name, facts in result["kinds"].items():
        told = ", ".join(f"{key} {value.median:+.3f}" for key, value in facts.items())
        print(f"  {name:20} {told}", flush=True)

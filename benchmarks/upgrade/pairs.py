"""Measure upgrades between real encoders: what the map gives with its sample, the backfill's curve, crops, and the map's time.

Per pair and draw: a fifth of the gallery is the sample. A fifth of it asks to choose among maps, in a gallery of these and a third of
the others; maps are fitted on the other two thirds, and the chosen one again on all three. Labelled
photographs that nothing was fitted on ask (1-NN accuracy), and crops of gallery photographs (recall@10). The share of both
encoders' mixture is chosen in mixed galleries; beside it stands one that is chosen in the old gallery.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import save, spread, watch
from benchmarks.upgrade.orders import orders_of
from benchmarks.upgrade.photographs import QUERIES, Photographs, photographs, rows_of
from indexes.migration import Background, Probe, alignment
from indexes.vectors import Bitmap, Space, Vectors, linear_maps
from retrieval.collection import Fitted
from retrieval.encoders import load_encoder
from retrieval.upgrades.start.encoders import extension_of
from retrieval.upgrades.trial.maps import CLEARLY, EXTENDING as BROUGHT, Extension, Pairs, fit, refit
from retrieval.upgrades.trial.measurement import background_of
from retrieval.upgrades.trial.mixed_galleries import MixedGalleries
from retrieval.upgrades.trial.questions import SHARE_SPARE

SAMPLE = 0.2
CHOOSING = 0.2
SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(2, 11))  # from the sample on
K = 10
_TIMED = 300
_BY_OLD = "both encoders, share by the old gallery"
EXTENDING = ("nano@1", "nano@2")
PAIRS = (
    ("colour", "nano@1"),
    ("colour", "mobilenet"),
    ("nano@1", "mobilenet"),
    ("nano@1", "lite2"),
    ("nano@2", "lite2"),
    ("lite0", "lite2"),
    EXTENDING,
    ("nano@2", "clip"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Rows of one encoder: ``(q, d)`` queries, ``(g, d)`` the gallery, ``(c, d)`` crops of some of it."""

    queries: Vectors
    gallery: Vectors
    crops: Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is right: labels of queries and of the gallery, and which gallery row each crop was made of."""

    labels: NDArray[np.int64]
    gallery: NDArray[np.int64]
    cropped: NDArray[np.int64]

    @classmethod
    def of(cls, seen: Photographs) -> Asked:
        """Ask with the first photographs, and with crops of the others."""
        return cls(
            labels=seen.labels[:QUERIES], gallery=seen.labels[QUERIES:], cropped=seen.cropped - QUERIES
        )

    def right(self, scores: NDArray[np.floating[Any]]) -> Bitmap:
        """Return ``(q,)`` flags: a query's first hit has its label; of scores ``(q, g)``."""
        flags: Bitmap = self.gallery[scores.argmax(axis=1)] == self.labels
        return flags

    def accuracy(self, scores: NDArray[np.floating[Any]]) -> float:
        """Return the share of queries whose first hit has their label; of scores ``(q, g)``."""
        return float(self.right(scores).mean())

    def recall(self, scores: NDArray[np.floating[Any]]) -> float:
        """Return recall@10 of crops; of scores ``(c, g)``."""
        own = scores[np.arange(len(self.cropped)), self.cropped][:, np.newaxis]
        return float(((scores > own).sum(axis=1) < K).mean())


class Drawn(NamedTuple):
    """A sample of a gallery, as an upgrade's trial takes it.

    Attributes:
        sample: its places ``(s,)``.
        fitted: those that ways are fitted on to be chosen, ``(f,)``.
        rest: those that the chosen way is fitted on at last, ``(r,)``.
        select: what chooses: rows that no way was fitted on.
    """

    sample: NDArray[np.int64]
    fitted: NDArray[np.int64]
    rest: NDArray[np.int64]
    select: Probe


def drawn(old: Encoded, new: Encoded, asked: Asked, *, seed: int) -> Drawn:
    """Draw the sample of one seed."""
    count = len(asked.gallery)
    sample = np.random.default_rng(seed).permutation(count)[: round(SAMPLE * count)]
    chosen, rest = np.split(sample, [round(CHOOSING * len(sample))])
    spare, fitted = np.split(rest, [int(SHARE_SPARE * len(rest))])
    judged = np.concatenate([chosen, spare])
    select = Probe(
        gallery_old=old.gallery[judged],
        gallery_new=new.gallery[judged],
        old=old.gallery[chosen],
        new=new.gallery[chosen],
        target=np.arange(len(chosen)),
        labels=asked.gallery[judged],
    )
    return Drawn(sample, fitted, rest, select)


def one(names: tuple[str, str], old: Encoded, new: Encoded, asked: Asked, *, seed: int) -> dict[str, Any]:
    """Fit and measure one pair with one draw of the sample."""
    sample, fitted, rest, select = drawn(old, new, asked, seed=seed)
    spaces = [
        Space(name=name, dim=rows.gallery.shape[1], fingerprint=name)
        for name, rows in zip(names, (old, new), strict=True)
    ]
    tried, pairs = (
        Pairs(old_space=spaces[0], new_space=spaces[1], old=old.gallery[places], new=new.gallery[places])
        for places in (fitted, rest)
    )
    ways, _ = fit(tried, select, method="procrustes", extends=extension(names))
    own = [
        way for way in ways if way.method in BROUGHT
    ]  # as the library, which takes an encoder's own map first
    found = [(select.score(way.queries(select.new, None)), way) for way in own or ways]
    most = max(score for score, _ in found)
    best = min(
        (way for score, way in found if score > most - CLEARLY), key=lambda way: way.image.multiplications
    )
    mapped = best.queries(select.new, None)
    galleries = MixedGalleries(select, old=old.gallery[fitted], new=new.gallery[fitted], by_both=True)
    alpha = alignment.best_alpha(select.old, mapped, score=galleries.worth)
    alpha_in_old = alignment.best_alpha(select.old, mapped, score=select.score)
    ways = {"one encoder": best} | {
        name: replace(best, method="slerp", alpha=share)
        for name, share in (("both encoders", alpha), (_BY_OLD, alpha_in_old))
    }
    final = refit(best, pairs, select)
    centred = linear_maps.centred_procrustes(spaces[1], spaces[0], pairs.new, pairs.old)
    old_old = asked.accuracy(old.queries @ old.gallery.T)
    new_new = asked.accuracy(new.queries @ new.gallery.T)
    alone = asked.accuracy(centred.apply(new.queries) @ old.gallery.T)
    orders = orders_of(
        final.back,
        old.gallery,
        new.gallery,
        sample,
        final.queries(new.gallery[sample], None),
        seed=seed,
    )
    found: dict[str, Any] = {}
    for name, way in ways.items():
        background = background_of(way, select, old=old.gallery[sample], new=new.gallery[sample])
        fitted_again = replace(final, method=way.method, alpha=way.alpha)
        tried_orders = {"random": orders["random"]} if name == _BY_OLD else orders
        curves = _curves(fitted_again, background, old, new, asked, tried_orders)
        found[name] = curves | {
            "stretch": background.stretch,
            "microseconds": _microseconds(fitted_again, old, new),
        }
    return {
        "seed": seed,
        "old_old": old_old,
        "new_new": new_new,
        "new_old_alone": asked.accuracy(final.queries(new.queries, None) @ old.gallery.T),
        "far": alone < old_old,
        "method": best.method,
        "alpha": alpha,
        "alpha_in_old": alpha_in_old,
        "kinds": len(set(asked.labels.tolist())),
        "crops_old_old": asked.recall(old.crops @ old.gallery.T),
        "crops_new_new": asked.recall(new.crops @ new.gallery.T),
        "ways": {name: _judged(facts, old_old, new_new) for name, facts in found.items()},
    }


def extension(names: tuple[str, str]) -> Extension | None:
    """Return the maps that a new encoder brings to the old one's space, where it does."""
    if names != EXTENDING:
        return None
    old, new = (load_encoder(name) for name in names)
    return extension_of(new, old.space)


def _curves(
    way: Fitted,
    background: Background,
    old: Encoded,
    new: Encoded,
    asked: Asked,
    orders: dict[str, NDArray[np.int64]],
) -> dict[str, Any]:
    queries = background.scores(way.queries(new.queries, old.queries), new.queries, old.gallery, new.gallery)
    crops = background.scores(way.queries(new.crops, old.crops), new.crops, old.gallery, new.gallery)
    whole = asked.recall(new.crops @ new.gallery.T)
    before = asked.right(old.queries @ old.gallery.T)
    curves: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name, order in orders.items():
        heights, found = [], []
        for share in SHARES:
            renewed = np.zeros(len(order), dtype=np.bool_)
            renewed[order[: round(share * len(order))]] = True
            right = asked.right(np.where(renewed, queries[1], queries[0]))
            heights.append(float(right.mean()))
            if share == SHARES[0]:
                start = right
            found.append(asked.recall(np.where(renewed, crops[1], crops[0])) / whole)
        curves[name], kept[name] = heights, found
    return {
        "start_without_sample": asked.accuracy(queries[0]),
        "start_over_old": _interval(start.astype(np.float64) - before),
        "curves": curves,
        "crops_kept_curves": kept,
    }


def _interval(differences: NDArray[np.float64]) -> list[float]:
    """Return the 95 % interval of a mean of paired differences, one of each query."""
    mean, half = differences.mean(), 1.96 * differences.std(ddof=1) / np.sqrt(len(differences))
    return [round(float(mean - half), 4), round(float(mean + half), 4)]


def _judged(facts: dict[str, Any], old_old: float, new_new: float) -> dict[str, Any]:
    random, kept = facts["curves"]["random"], facts["crops_kept_curves"]["random"]
    gains, crop_gains = (_gains(facts[curves]) for curves in ("curves", "crops_kept_curves"))
    return facts | {
        "start": random[0],
        "share": (random[0] - old_old) / (new_new - old_old) if new_new - old_old >= 0.05 else None,
        "deepest_fall": random[0] - min(random),
        "order_gains": gains,
        "order_gain": max(gains.values(), default=0.0),
        "crops_kept": min(kept),
        "crops_fall": kept[0] - min(kept),
        "order_gains_crops": crop_gains,
    }


def _gains(curves: dict[str, list[float]]) -> dict[str, float]:
    """Return the area that each order wins over random order, as a share of the area between start and end."""
    random = curves["random"]
    room = max(abs(random[-1] - random[0]), 1e-9)
    return {
        name: (float(np.mean(curve)) - float(np.mean(random))) / room
        for name, curve in curves.items()
        if name != "random"
    }


def _microseconds(way: Fitted, old: Encoded, new: Encoded) -> dict[str, float]:
    """Return what it takes to map one query, and one of 64 together; medians."""
    found = {}
    for size in (1, 64):
        taken = []
        for start in range(_TIMED):
            part = slice(start, start + size)
            began = time.perf_counter()
            way.queries(new.queries[part], old.queries[part])
            taken.append(time.perf_counter() - began)
        found[f"of {size}"] = round(float(np.median(taken)) * 1e6 / size, 2)
    return found


def encoded(name: str, seen: Photographs, *, data: Path, work: Path) -> Encoded:
    """Return an encoder's rows of all photographs."""
    whole, crops = rows_of(name, seen, data=data, work=work)
    return Encoded(queries=whole[:QUERIES], gallery=whole[QUERIES:], crops=crops)


def real(
    data: Path,
    work: Path,
    *,
    seeds: int,
    wanted: Sequence[tuple[str, ...]] | None = None,
    name: str = "upgrade_real",
) -> None:
    """Measure pairs, all of them or those ``wanted``; encode and measure what ``work`` does not hold yet.

    The results are saved under ``name``.
    """
    seen = photographs(data)
    asked = Asked.of(seen)
    results = []
    with watch() as load:
        draws = drawn_pairs(one, seen, asked, data=data, kept=work / "draws", seeds=seeds, wanted=wanted)
        for names, runs in draws:
            results.append({"old": names[0], "new": names[1], **summary(runs), "runs": runs})
            print(report_line(results[-1]), flush=True)
    save(
        name,
        load=load,
        parameters={"gallery": len(asked.gallery), "queries": QUERIES, "sample": SAMPLE, "seeds": seeds},
        pairs=results,
    )


def drawn_pairs(
    measure: Callable[..., dict[str, Any]],
    seen: Photographs,
    asked: Asked,
    *,
    data: Path,
    kept: Path,
    seeds: int,
    wanted: Sequence[tuple[str, ...]] | None,
) -> Iterator[tuple[tuple[str, str], list[dict[str, Any]]]]:
    """Give each pair, or each of those ``wanted``, and what ``measure`` says of its draws.

    A draw that an interrupted run measured is read from ``kept``, in the folder of the encoders' rows; remove it to measure anew.
    """
    for names in PAIRS:
        if wanted is not None and names not in wanted:
            continue
        old, new = (encoded(name, seen, data=data, work=kept.parent) for name in names)
        runs = []
        for seed in range(seeds):
            file = kept / f"{'-'.join(names).replace('@', '')}-{seed}.json"
            if not file.exists():
                facts = measure(names, old, new, asked, seed=seed)
                kept.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(facts))
            runs.append(json.loads(file.read_text()))
        yield names, runs


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians and spreads of a pair's draws."""
    ways = {
        name: {
            key: spread([float(run["ways"][name][key]) for run in runs])
            for key in ("start", "share", "deepest_fall", "order_gain", "crops_kept", "crops_fall")
            if runs[0]["ways"][name][key] is not None
        }
        for name in runs[0]["ways"]
    }
    facts = {
        key: spread([float(run[key]) for run in runs]) for key in ("old_old", "new_old_alone", "new_new")
    }
    return {**facts, "far": [run["far"] for run in runs], "ways": ways}


def report_line(result: dict[str, Any]) -> str:
    """Say of a pair what one reads first."""
    lines = [
        (
            f"{result['old']} -> {result['new']}: old/old {result['old_old'].median:.3f}, map alone "
            f"{result['new_old_alone'].median:.3f}, new/new {result['new_new'].median:.3f}, far {result['far']}"
        )
    ]
    for name, facts in result["ways"].items():
        told = ", ".join(f"{key} {value.median:.3f}" for key, value in facts.items())
        lines.append(f"  {name}: {told}")
    return "\n".join(lines)

"""Is what `compare` says of two encoders true, where the truth is known?

A second encoder is made of nano@2's vectors, so that it is known how it compares: turned (nothing changes), drawn by chance
(nothing is kept), with noise (worse, the more the noise), and twice with noise of the same strength (neither is better).
Then both versions of nano, which no truth is known of: the interval from 150 queries should hold what all images give.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retrieval
from indexes.vectors import Space
from retrieval.encoders.families.nano import open_nano
from tools.fit_relevance.photographs import Photographs, gather

SETS = ("animals", "scenes")
NOISES = (0.01, 0.03)
EQUAL = 0.02
DRAWS = 10
QUERIES = 150
LEAST_OF_CLASS = 24


def compared(options: Namespace) -> dict[str, Any]:
    """Compare encoders of which it is known how they differ."""
    one, other = (gather(options.data, open_nano(version, threads=1), options.work) for version in "21")
    return {name: _of_set(one, other, name) for name in SETS}


def _of_set(one: Photographs, other: Photographs, name: str) -> dict[str, Any]:
    there = [place for place, photo in enumerate(one.photos) if photo.group == name and photo.label]
    labels, counts = np.unique([one.photos[place].label for place in there], return_counts=True)
    large = set(labels[counts >= LEAST_OF_CLASS].tolist())
    chosen = np.array([place for place in there if one.photos[place].label in large])
    named = [one.photos[place].label for place in chosen.tolist()]
    rows = one.vectors[chosen]
    numbers = np.random.default_rng(0)
    dim = rows.shape[1]
    turned = rows @ np.linalg.qr(numbers.standard_normal((dim, dim)))[0].astype(np.float32)
    chance = _unit(numbers.standard_normal(rows.shape))
    facts: dict[str, Any] = {
        "images": len(rows),
        "classes": len(large),
        "turned": _facts(_compare(rows, turned, named)),
        "drawn by chance": _facts(_compare(rows, chance, named)),
        "with noise": {
            str(noise): _share_better(
                [(rows, _noisy(rows, noise, numbers)) for _ in range(DRAWS)], named, numbers
            )
            for noise in NOISES
        },
        "neither is better": _share_better(
            [(_noisy(rows, EQUAL, numbers), _noisy(rows, EQUAL, numbers)) for _ in range(DRAWS)],
            named,
            numbers,
        ),
    }
    whole = _compare(rows, other.vectors[chosen], named)
    facts["nano@2, nano@1"] = _facts(whole)
    held = {"overlap": 0, "same_first": 0}
    for _ in range(DRAWS):
        order = numbers.permutation(len(rows))
        some = _compare(
            rows[order],
            other.vectors[chosen][order],
            [named[place] for place in order.tolist()],
            sample=QUERIES,
        )
        for fact in held:
            interval = getattr(some, fact)
            held[fact] += int(interval.low <= getattr(whole, fact).value <= interval.high)
    facts["intervals that hold what all images give"] = {
        fact: f"{number} of {DRAWS}" for fact, number in held.items()
    }
    return facts


def _share_better(
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    named: list[str],
    numbers: np.random.Generator,
) -> dict[str, Any]:
    """Return how often each encoder is said to be better, and by how much the second one is."""
    said = {"a": 0, "b": 0, None: 0}
    differences = []
    for a, b in pairs:
        order = numbers.permutation(len(a))
        found = _compare(a[order], b[order], [named[place] for place in order.tolist()])
        said[found.better] += 1
        differences.append(found.quality[0].difference.value)
    return {
        "first is better": said["a"],
        "second is better": said["b"],
        "not told": said[None],
        "difference": round(float(np.mean(differences)), 4),
        "overlap": found.overlap.value,
    }


def _compare(
    a: NDArray[np.float32], b: NDArray[np.float32], named: list[str], *, sample: int = 100_000
) -> retrieval.Comparison:
    keys = [f"{place:05}" for place in range(len(a))]
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / name for name in "ab"]
        for home, rows in zip(homes, (a, b), strict=True):
            space = Space(name=home.name, dim=rows.shape[1], fingerprint=f"made-{home.name}")
            with retrieval.create(home, dim=rows.shape[1], space=space) as made:
                made.add(rows, keys)
        return retrieval.compare(
            homes[0], homes[1], labels=dict(zip(keys, named, strict=True)), sample=sample
        )


def _facts(found: retrieval.Comparison) -> dict[str, Any]:
    return {
        "overlap": [found.overlap.value, found.overlap.low, found.overlap.high],
        "same_first": found.same_first.value,
        "chance": round(found.chance, 4),
        "knn_accuracy": [found.quality[0].a.value, found.quality[0].b.value],
        "difference": [getattr(found.quality[0].difference, side) for side in ("value", "low", "high")],
        "better": found.better,
    }


def _noisy(rows: NDArray[np.float32], noise: float, numbers: np.random.Generator) -> NDArray[np.float32]:
    return _unit(rows + noise * numbers.standard_normal(rows.shape))


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

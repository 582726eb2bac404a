"""How well does a collection know what it has: is "likely nothing" right, and what does it cost?

    python benchmarks/bench_curate.py --data DIR [--parts match,match_cost,groups] [--work DIR] [--rows 100000] [--repeats 15]

match       labelled photographs that nano was not trained on, each thing asked for once where it is and once where it is not, by its
            name and by a photograph of it. Each domain is judged by a calibration fitted on the other ones (`tools.fit_relevance`):
            area under the curve, share of absent queries flagged while a tenth of the present ones is, calibration error.
match_cost  CPU time of a search with and without `match`, by words and by a stored row, among vectors of those photographs and their neighbours.

groups      labelled photographs in groups by `retrieval.cluster`'s partition, their number found or given, beside faiss's k-means with
            the true number, three seeds: normalised mutual information with the labels, and the number found. Labels of fewer
            than ten photographs are left out.

Expected: area 0.82 and 0.5 flagged by words with nano@2; error 0.05; at most 1.2 times the CPU time by words; groups reach 0.95 of k-means.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import retrieval
from benchmarks.frame import RESULTS, ratio, save, spread, watch
from indexes.engine import faiss
from retrieval.collection.matches import Judge
from retrieval.curation.groups.partition import partition
from retrieval.encoders.families.nano import open_nano
from tools.fit_relevance.asking import KINDS, ask
from tools.fit_relevance.judging import judge
from tools.fit_relevance.photographs import Photographs, gather

PARTS = ("match", "match_cost", "groups")
SEED = 1
WORDS = ["dog", "a red car", "sea", "church", "piano", "pizza", "horse", "street", "bus", "flower"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--work", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    kept = RESULTS / "curate.json"
    facts: dict[str, Any] = {}
    if kept.exists():
        facts = {name: part for name, part in json.loads(kept.read_text()).items() if name in PARTS}
    with watch() as load:
        for part in options.parts.split(","):
            facts[part] = {"match": told_apart, "match_cost": cost, "groups": grouped}[part](options)
            print(json.dumps({part: facts[part]}, indent=1, default=asdict))
    save("curate", load=load, **facts)


def told_apart(options: argparse.Namespace) -> dict[str, Any]:
    """Judge present and absent things, for both versions of nano."""
    facts: dict[str, Any] = {}
    for version in ("1", "2"):
        encoder = open_nano(version, threads=1)
        asked = list(ask(gather(options.data, encoder, options.work), encoder, seed=SEED))
        facts[encoder.space.name] = {
            kind: judge([one for one in asked if one.kind == kind]) for kind in KINDS
        }
    return facts


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Compare a search with one that looks at no background."""
    encoder = open_nano(threads=1)
    vectors = gather(options.data, encoder, options.work).vectors
    rng = np.random.default_rng(SEED)
    nothing = mock.patch("retrieval.collection.search_run.judge_of", return_value=Judge(reason="left out"))
    facts: dict[str, Any] = {"rows": options.rows}
    with tempfile.TemporaryDirectory() as folder, retrieval.create(folder, encoder="nano") as photos:
        for start in range(0, options.rows, 20_000):
            some = vectors[rng.integers(len(vectors), size=min(20_000, options.rows - start))]
            photos.add(some + 0.02 * rng.standard_normal(some.shape).astype(np.float32))
        for kind, queries in (("words", WORDS), ("rows", list(range(0, 970, 97)))):
            seconds: dict[str, list[float]] = {"with": [], "without": []}
            for round_ in range(-1, options.repeats):
                for name in ("with", "without") if round_ % 2 else ("without", "with"):
                    began = time.process_time()
                    with nothing if name == "without" else nullcontext():
                        for query in queries:
                            photos.search(query)
                    if round_ >= 0:
                        seconds[name].append((time.process_time() - began) / len(queries))
            spreads = {name: spread(values) for name, values in seconds.items()}
            facts[kind] = {
                "cpu_milliseconds": {name: round(one.median * 1e3, 3) for name, one in spreads.items()},
                "ratio": ratio(spreads["with"], spreads["without"]),
            }
    return facts


GROUPED = {
    **{name: (name,) for name in ("animals", "caltech101", "clothing", "flowers", "groceries", "imagenette")},
    **{name: (name,) for name in ("rooms", "scenes", "street_vehicles", "weather")},
    "scenes and rooms": ("scenes", "rooms"),
    "imagenette and scenes": ("imagenette", "scenes"),
    "six sets": ("animals", "flowers", "pandas", "rooms", "street_vehicles", "weather"),
    "nine sets": (
        "animals", "caltech101", "cats_dogs", "flowers", "imagenette", "pandas", "rooms", "scenes", "weather",
    ),
}  # fmt: skip
LEAST = 10


def grouped(options: argparse.Namespace) -> dict[str, Any]:
    """Compare groups with labels, beside k-means that is told how many labels there are."""
    facts: dict[str, Any] = {}
    for version in ("1", "2"):
        encoder = open_nano(version, threads=1)
        photographs = gather(options.data, encoder, options.work)
        rows = {name: _grouped(photographs, sets) for name, sets in GROUPED.items()}
        facts[encoder.space.name] = {
            "sets": rows,
            "found_share": round(float(np.mean([row["found_share"] for row in rows.values()])), 3),
            "given_share": round(float(np.mean([row["given_share"] for row in rows.values()])), 3),
            "within_30_percent": sum(abs(row["found"] / row["labels"] - 1) <= 0.3 for row in rows.values()),
        }
    return facts


def _grouped(photographs: Photographs, sets: tuple[str, ...]) -> dict[str, Any]:
    named = [
        f"{photo.group}/{photo.label}" if photo.group in sets and photo.label else ""
        for photo in photographs.photos
    ]
    there, counts = np.unique(named, return_counts=True)
    kept = np.isin(
        named, [name for name, count in zip(there, counts, strict=True) if name and count >= LEAST]
    )
    rows = photographs.vectors[kept]
    _, labels = np.unique(np.array(named)[kept], return_inverse=True)
    number = int(labels.max()) + 1
    by_kmeans = spread([_information(labels, _kmeans(rows, number, seed)) for seed in (1, 2, 3)])
    found = partition(lambda places: rows[places], len(rows))
    given = partition(lambda places: rows[places], len(rows), number=number)
    return {
        "photographs": len(rows),
        "labels": number,
        "found": len(found.means),
        "kmeans": by_kmeans,
        "found_share": round(_information(labels, found.labels) / by_kmeans.median, 3),
        "given_share": round(_information(labels, given.labels) / by_kmeans.median, 3),
    }


def _kmeans(rows: np.ndarray, number: int, seed: int) -> np.ndarray:
    kmeans = faiss().Kmeans(
        rows.shape[1], number, niter=20, nredo=3, seed=seed, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(rows)
    return kmeans.index.search(rows, 1)[1][:, 0]


def _information(labels: np.ndarray, groups: np.ndarray) -> float:
    """Return the normalised mutual information of two ways to divide rows."""
    joint = np.zeros((labels.max() + 1, groups.max() + 1))
    np.add.at(joint, (labels, groups), 1 / len(labels))
    first, second = joint.sum(axis=1), joint.sum(axis=0)
    there = joint > 0
    shared = (joint[there] * np.log(joint[there] / np.outer(first, second)[there])).sum()
    return float(2 * shared / (_entropy(first) + _entropy(second)))


def _entropy(shares: np.ndarray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


if __name__ == "__main__":
    main()

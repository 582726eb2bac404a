"""Which scores do answers have: the best answer to words, the nearest other photograph, unrelated pairs?

    python -m benchmarks.queries.bench_scores --index DIR --labels labels.csv

``labels.csv`` (``file,label``) names the photographs of the collection; pairs of one label are *like*. Percentiles are over
twenty everyday queries in words, and over all photographs. Result: ``results/scores.json``.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

import retrieval
from benchmarks.frame import save, watch

QUERIES = [
    "a cat",
    "a dog",
    "a train",
    "a bus",
    "a car",
    "an airplane",
    "a mountain",
    "a forest",
    "the sea",
    "a kitchen",
    "a bathroom",
    "a church",
    "a guitar",
    "a street",
    "a glacier",
    "a red bus in snow",
    "a dog on a beach",
    "two people playing football",
    "a motorbike",
    "a piano",
]
SHARES = (0, 5, 50, 95, 100)


def percentiles(values: np.ndarray) -> dict[str, float]:
    """Return the percentiles of some scores, by name."""
    return {
        f"p{share}": round(float(value), 3)
        for share, value in zip(SHARES, np.percentile(values, SHARES), strict=True)
    }


def main() -> None:
    """Search, compare all pairs, and keep the percentiles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", required=True)
    parser.add_argument("--labels", type=Path, required=True)
    options = parser.parse_args()
    with options.labels.open(newline="", encoding="utf-8") as lines:
        labels = {row["file"]: row["label"] for row in csv.DictReader(lines)}
    with watch() as load, retrieval.open(options.index) as photos:
        count = len(photos)
        words = [[hit.score for hit in photos.search(query, k=count)] for query in QUERIES]
        ids = {path: photos.id_of(path) for path in photos if path in labels}
        rows = photos.vectors(list(ids.values())).astype(np.float32)
        scores = rows @ rows.T
        np.fill_diagonal(scores, -np.inf)
        names = np.array([labels[path] for path in ids])
        like = names[:, None] == names[None, :]
        off = ~np.eye(len(names), dtype=bool)
        space = photos.space.name
    found = {
        "best answer to words": percentiles(np.array([row[0] for row in words])),
        "tenth answer to words": percentiles(np.array([row[9] for row in words])),
        "any photograph to words": percentiles(np.concatenate([np.array(row) for row in words])),
        "nearest other photograph": percentiles(scores.max(axis=1)),
        "pairs of one label": percentiles(scores[like & off]),
        "pairs of two labels": percentiles(scores[~like]),
    }
    parameters = {"images": count, "encoder": space, "queries": QUERIES}
    print(save("scores", load=load, parameters=parameters, scores=found).name, found)


if __name__ == "__main__":
    main()

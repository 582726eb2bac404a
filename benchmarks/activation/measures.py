"""Whether altered copies of originals and of their activated copies are found, in every way that the collection searches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from benchmarks.activation.bench import Bench, Drawn, Run
from retrieval.evaluation.attacks import CURRENT, LISTS, reencoded
from retrieval.evaluation.survival import attacked, scores

QUALITIES = (90, 75)  # of JPEG, as which the published file is compressed again
AGAIN = ("none", "contrast 2", "blur", "crop 0.5", "resize 0.5")  # attacks upon such files


def encode(bench: Bench, collection: retrieval.Collection, files: list[Path], label: str) -> None:
    """Encode altered copies of files as far as an earlier run has not."""
    for name in LISTS[CURRENT]:
        _vectors(bench, collection, files, label, name)
    for quality in QUALITIES:
        for name in AGAIN:
            _vectors(bench, collection, files, label, name, quality)


def measure(
    bench: Bench, collection: retrieval.Collection, drawn: Drawn, copies: dict[Path, Path], run: Run
) -> dict[str, Any]:
    """Compare passive with active copies of one run; files that were refused count as passive ones."""
    published = {"passive": drawn.files, run.label: [copies.get(file, file) for file in drawn.files]}
    for label, files in published.items():
        encode(bench, collection, files, label)
    aim = collection.aim()
    rows = collection.vectors([min(ids) for ids in drawn.right])
    points = aim.points(rows)
    cells = aim.cells(rows)[:, 0] if aim.nlist else None
    attacks: dict[str, Any] = {}
    threshold = 0.0
    for name in LISTS[CURRENT]:
        attacks[name] = {}
        for which, label in (("passive", "passive"), ("active", run.label)):
            vectors = _vectors(bench, collection, published[label], label, name)
            facts = _found(collection, vectors, drawn.right)
            facts["cosine"] = round(float(aim.cosines(vectors, points).mean()), 4)
            if cells is not None:
                facts["same cell"] = round(float((aim.cells(vectors)[:, 0] == cells).mean()), 4)
            wrong = _best_wrong(collection, vectors, drawn.right)
            if name == "none" and which == "passive":
                threshold = float(np.quantile(wrong, 0.99))
            facts["false above threshold"] = round(float((wrong >= threshold).mean()), 4)
            attacks[name][which] = facts
    again = {
        f"jpeg {quality}, {name}": {
            which: _found(
                collection,
                _vectors(bench, collection, published[label], label, name, quality),
                drawn.right,
            )
            for which, label in (("passive", "passive"), ("active", run.label))
        }
        for quality in QUALITIES
        for name in AGAIN
    }
    return {"list": CURRENT, "attacks": attacks, "after re-encoding": again, "threshold": round(threshold, 4)}


def _vectors(
    bench: Bench,
    collection: retrieval.Collection,
    files: list[Path],
    label: str,
    name: str,
    quality: int | None = None,
) -> np.ndarray:
    """Encode altered copies of files, or take the vectors from an earlier run."""
    folder = bench.vectors(label)
    path = folder / f"{name.replace(' ', '_')}{f'.jpeg{quality}' if quality else ''}.npy"
    if path.exists():
        return np.load(path)
    again = None if quality is None else (lambda image: reencoded(image, quality))
    vectors = attacked(collection.encoder, files, name, then=again)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"partial-{os.getpid()}.npy"
    np.save(partial, vectors)
    partial.rename(path)
    return vectors


def _found(
    collection: retrieval.Collection, vectors: np.ndarray, right: list[frozenset[int]]
) -> dict[str, Any]:
    """Search altered copies in every way."""
    tuned = collection.manifest.index.nprobe
    served = collection.search_vectors(vectors, k=1)
    wrong = np.array([int(row) not in ids for row, ids in zip(served.ids[:, 0], right, strict=True)])
    return {
        "codes, one list": scores(collection.search_codes(vectors, k=1, nprobe=1), right),
        "codes, tuned": scores(collection.search_codes(vectors, k=1, nprobe=tuned), right),
        "served": scores(served, right),
        "exact": scores(collection.search_vectors(vectors, k=1, exact=True), right),
        "false": round(float(wrong.mean()), 4),
    }


def _best_wrong(
    collection: retrieval.Collection, vectors: np.ndarray, right: list[frozenset[int]]
) -> np.ndarray:
    """Return each query's best cosine to a wrong row, by exact search: ``(n,)``."""
    near = collection.search_vectors(vectors, k=8, exact=True)
    other = np.array(
        [[int(row) not in ids for row in rows] for rows, ids in zip(near.ids, right, strict=True)]
    )
    return np.where(other, near.scores, -1).max(axis=1)

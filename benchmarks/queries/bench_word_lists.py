"""How many lists do words probe where photographs probe fewer, and does anything lower that?

    python benchmarks/queries/bench_word_lists.py --data DATA --work RUN

``RUN`` is a folder in which ``python -m tools.train_oca further`` has looked at all photographs of the data (``means.npy``), or ``--rows`` an array of their vectors
before the bank. Tried: how long texts' last component is and photographs' in turn; how lists are ordered (by their centroids; by their means and how
widely their rows spread; by a map from texts to the mean of what they find, fitted on other texts); and to stop at the score that the next list can reach.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.frame import save, watch

Rows = NDArray[np.float32]
LISTS, RECALL, MOST = 640, 0.95, 160
LENGTHS = (
    (1.0, 0.5),
    (2.0, 0.25),
    (0.5, 1.0),
    (0.0, 0.0),
)  # of the bank in photographs and in texts; the first is shipped


def main() -> None:
    """Measure and keep the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=Path, help="vectors of all photographs before the bank, .npy")
    parser.add_argument("--dims", default="256,384", help="the bank's component is the last of 384")
    given = parser.parse_args()
    import torch

    from retrieval.encoders.families.nano_text import TextTower
    from retrieval.encoders.families.nano_torch import read_querybank
    from tools.train_nano.inputs.data import list_photos
    from tools.train_oca.further import IMAGE, SHIPPED, look_at_all
    from tools.train_oca.measure import set_exam

    photos = list_photos(given.data)
    rows = np.load(given.rows).astype(np.float32) if given.rows else look_at_all(given.data, given.work).seen
    numbers = np.random.default_rng(0)
    exam = set_exam(photos)
    asked = numbers.choice(exam.rows, 500, replace=False)
    gallery = np.setdiff1d(np.arange(len(photos)), asked)
    names = [f"a {name}" for name in np.load(given.data / "teachers" / "clip_text_names.npz")["name"]]
    trained = [said for photo in photos if photo.split == "train" for said in photo.sentences]
    texts = {
        "sentences": [exam.said[i] for i in numbers.choice(len(exam.said), 1000, replace=False)],
        "names": names[:1000],
        "others": names[1000:] + [trained[i] for i in numbers.choice(len(trained), 4000, replace=False)],
    }
    found: dict[str, Any] = {}
    with watch() as load:
        for weight, last in LENGTHS:
            bank = read_querybank(SHIPPED / IMAGE, weight=weight)
            assert bank is not None
            with torch.inference_mode():
                known: Rows = bank(torch.from_numpy(rows)).numpy()
            tower = TextTower(SHIPPED / "text.safetensors", last=last)
            queries = {"images": known[asked]} | {name: tower.encode(said) for name, said in texts.items()}
            for dim in map(int, given.dims.split(",")):
                if dim < rows.shape[1] and found:
                    continue  # the bank's component is cut off
                cut = {name: _cut(part, dim) for name, part in queries.items()}
                key = f"{dim} numbers, bank {weight} in photographs, {last} in texts"
                found[key] = probed(_cut(known[gallery], dim), cut)
                print(key, found[key], flush=True)
    save(
        "word_lists", load=load, parameters={"rows": len(gallery), "lists": LISTS, "recall": RECALL},
        lists_probed=found,
    )  # fmt: skip


def probed(rows: Rows, queries: dict[str, Rows]) -> dict[str, dict[str, float]]:
    """Return how many lists reach `RECALL` of ten, by the kind of query and the way lists are ordered; ``others`` fit the map and are not asked."""
    import faiss

    trained = rows[np.random.default_rng(1).permutation(len(rows))[: 64 * LISTS]]
    groups = faiss.Kmeans(rows.shape[1], LISTS, niter=10, seed=1, spherical=True, max_points_per_centroid=64)
    groups.train(trained)
    centroids = groups.centroids
    own = _blocks(rows, lambda part: (part @ centroids.T).argmax(1))
    size = np.bincount(own, minlength=LISTS)
    means = np.zeros_like(centroids)
    np.add.at(means, own, rows)
    means /= np.maximum(size, 1)[:, None]
    spread = np.sqrt(np.maximum(1 - (means**2).sum(1), 0) / rows.shape[1])
    others = queries["others"]

    def nearest(part: Rows) -> NDArray[np.int64]:
        scores = part @ rows.T
        top = np.argpartition(-scores, 10, axis=1)[:, :10]
        return np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)

    near = _blocks(others, nearest)
    aims = _cut(rows[near].mean(1), rows.shape[1])
    there = np.linalg.solve(others.T @ others + 30 * np.eye(rows.shape[1]), others.T @ aims).astype(
        np.float32
    )
    orders: dict[str, Callable[[Rows], Rows]] = {
        "centroids": lambda part: part @ centroids.T,
        "means and spread": lambda part: part @ means.T + spread * np.sqrt(2 * np.log(np.maximum(size, 2))),
        "map of texts, by half": lambda part: (_cut(part @ there, rows.shape[1]) + part) @ centroids.T,
    }
    found: dict[str, dict[str, float]] = {}
    for name, part in queries.items():
        if name == "others":
            continue
        true = _blocks(part, nearest)
        tenth = np.einsum("nd,nd->n", part, rows[true[:, 9]])
        found[name] = {
            way: _needed(order(part), own[true])
            for way, order in orders.items()
            if not (name == "images" and "texts" in way)
        }
        found[name]["lists that hold the ten"] = float(np.mean([len(np.unique(row)) for row in own[true]]))
        found[name]["score of the tenth"] = float(tenth.mean())
        stopped = _stopping(part, rows, own, means, spread, true)
        if stopped is not None:
            found[name]["means and spread, stopping"] = stopped
    return found


def _needed(scores: Rows, wanted: NDArray[np.int64]) -> float:
    """Return how many of the best-scored lists hold `RECALL` of what is wanted, between whole numbers by a line."""
    ranks = np.argsort(np.argsort(-scores, axis=1), axis=1)
    places = np.take_along_axis(ranks, wanted, 1)
    recall = np.array([(places < n).mean() for n in range(MOST)])
    at = int(np.argmax(recall >= RECALL))
    return float(at - (recall[at] - RECALL) / (recall[at] - recall[at - 1]))


def _stopping(
    queries: Rows, rows: Rows, own: NDArray[np.int64], means: Rows, spread: Rows, true: NDArray[np.int64]
) -> float | None:
    """Return the mean number of lists where each query stops as soon as the tenth score beats the next list's mean by so many spreads.

    That many is the least of some that reaches `RECALL`; None where none does.
    """
    lists = [np.flatnonzero(own == i) for i in range(len(means))]
    some = np.arange(0, len(queries), 5)
    for bound in (5.0, 6.0, 7.0, 8.0, 9.0, 10.0):
        used, recall = [], []
        for i in some:
            reach = queries[i] @ means.T + bound * spread
            order = np.argsort(-(queries[i] @ means.T))[:MOST]
            best = np.full(10, -1.0, np.float32)
            count = 0
            for which in order:
                if best[-1] >= reach[which]:
                    break
                best = np.sort(np.concatenate([best, rows[lists[which]] @ queries[i]]))[::-1][:10]
                count += 1
            used.append(count)
            recall.append(np.isin(own[true[i]], order[:count]).mean())
        if np.mean(recall) >= RECALL:
            return float(np.mean(used))
    return None


def _blocks(rows: Rows, work: Callable[[Rows], NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([work(rows[at : at + 512]) for at in range(0, len(rows), 512)])


def _cut(rows: Rows, dim: int) -> Rows:
    part = rows[:, :dim]
    return np.ascontiguousarray(part / np.linalg.norm(part, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    main()

"""Equal bytes spent on each prefix and on the whole vector: 1-NN accuracy by product-quantised codes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import spread
from benchmarks.matryoshka.data import SETS, WIDTHS, Data, note
from indexes.engine import ivf
from indexes.engine.lists.prefixes import head
from indexes.engine.scan.flat import exact


def codes(data: Data, *, seeds: int, bytes_: tuple[int, ...]) -> dict[str, Any]:
    """Spend equal bytes on each prefix and on the whole vector."""
    train = np.flatnonzero((data.split == "train") & (data.labels >= 0))
    if data.most:
        train = train[:: max(1, len(train) // (20 * data.most))]
    held = np.concatenate([data.held(group) for group in SETS if group != "clothing"])
    held = held[
        np.isin(data.labels[held], np.unique(data.labels[train]))
    ]  # of classes that are in the gallery
    gallery = data.vectors(train, "gallery")
    asked = data.vectors(held, "asked")
    truth = exact(gallery.astype(np.float16), asked, k=1).ids[:, 0]
    right = data.labels[train][truth] == data.labels[held]
    half = np.random.default_rng(0).random(len(held)) < 0.5  # to choose the prefix on; the others report
    results: dict[str, Any] = {}
    for size in bytes_:
        accuracy: dict[int, list[NDArray[np.bool_]]] = {}
        agreement: dict[int, list[NDArray[np.bool_]]] = {}
        for width in WIDTHS:
            if width < size:
                continue
            rows, queries = head(gallery, width), head(asked, width)
            for seed in range(seeds):
                index = ivf.make(f"PQ{size}", dim=width)
                ivf.train(index, rows, seed=seed)
                index.add(rows)
                found = index.search(queries, 1)[1][:, 0]
                accuracy.setdefault(width, []).append(data.labels[train][found] == data.labels[held])
                agreement.setdefault(width, []).append(found == truth)
        full = gallery.shape[1]
        prefixes = [width for width in accuracy if width < full]
        best = max(prefixes, key=lambda width: float(np.mean([one[half].mean() for one in accuracy[width]])))
        gains = [
            float(short[~half].mean() - whole[~half].mean())
            for short, whole in zip(accuracy[best], accuracy[full], strict=True)
        ]
        results[f"{size} bytes"] = {
            "accuracy": {
                width: spread([float(one[~half].mean()) for one in some]) for width, some in accuracy.items()
            },
            "agreement_with_exact": {
                width: spread([float(one[~half].mean()) for one in some]) for width, some in agreement.items()
            },
            "best_prefix": best,
            "gain_in_accuracy": spread(gains),
            "gain_in_agreement": spread(
                [
                    float(short[~half].mean() - whole[~half].mean())
                    for short, whole in zip(agreement[best], agreement[full], strict=True)
                ]
            ),
        }
        note(
            f"{size} bytes: best prefix {best}, gain {np.mean(gains):+.4f} ({min(gains):+.4f} to {max(gains):+.4f})"
        )
    return {
        "gallery": len(train),
        "queries": int((~half).sum()),
        "queries_to_choose_by": int(half.sum()),
        "exact_accuracy": float(right[~half].mean()),
        "seeds": seeds,
        "space": f"{data.encoder.space.name} {data.encoder.space.fingerprint[:12]}",
        "codes": results,
    }

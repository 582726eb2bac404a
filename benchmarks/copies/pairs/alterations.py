"""Count copies that are verified, for each alteration, either way round."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.copies.photographs import SEED, names, opened, ways
from benchmarks.copies.run import Run
from retrieval.matching import compare, features
from tools.fit_matching.alterations import COVERS, PLAIN


def measure(run: Run) -> dict[str, Any]:
    """Count verified copies."""
    chosen = names(run.data)[: run.number]
    images = [opened(run.data, name) for name in chosen]
    found = [features(image) for image in images]
    shares: dict[str, float] = {}
    for name, alter in ways(
        [opened(run.data, name) for name in names(run.data)[run.number : run.number + 30]]
    ).items():
        right = []
        for place, image in enumerate(images):
            copy = features(alter(image, np.random.default_rng([SEED, place])))
            right += [compare(copy, found[place]).verified, compare(found[place], copy).verified]
        shares[name] = float(np.mean(right))
        print(f"{name:16} {shares[name]:.3f}", flush=True)
    groups = {
        "plain": PLAIN,
        "covered": COVERS,
        "pasted": [name for name in shares if name.startswith("pasted")],
    }
    return {"photographs": run.number, "verified": shares} | {
        f"mean_{group}": float(np.mean([shares[name] for name in members]))
        for group, members in groups.items()
    }

"""Count copies that are verified, or likely, for each alteration, either way round."""

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
    likely: dict[str, float] = {}
    for name, alter in ways(
        [opened(run.data, name) for name in names(run.data)[run.number : run.number + 30]]
    ).items():
        right = []
        for place, image in enumerate(images):
            copy = features(alter(image, np.random.default_rng([SEED, place])))
            right += [compare(copy, found[place]), compare(found[place], copy)]
        shares[name] = float(np.mean([one.verified for one in right]))
        likely[name] = float(np.mean([one.relation == "picture" for one in right]))
        print(f"{name:16} {shares[name]:.3f} {likely[name]:.3f}", flush=True)
    groups = {
        "plain": PLAIN,
        "covered": COVERS,
        "pasted": [name for name in shares if name.startswith("pasted")],
    }
    return {"photographs": run.number, "verified": shares, "verified or likely": likely} | {
        f"mean_{group}{kind}": float(np.mean([of[name] for name in members]))
        for group, members in groups.items()
        for kind, of in (("", shares), ("_or_likely", likely))
    }

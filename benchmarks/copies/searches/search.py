"""Search for altered copies among a gallery, with and without the check."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrieval
from benchmarks.copies.photographs import SEED, names, opened, ways
from benchmarks.copies.run import Run
from retrieval.matching import compare, features


def measure(run: Run) -> dict[str, Any]:
    """Search for altered copies among a gallery, with and without the check."""
    encoder = retrieval.load_encoder("nano")
    gallery = names(run.data)[: 20 * run.number]
    images = {name: opened(run.data, name) for name in gallery}
    rows = encoder.encode_pixels(np.stack([encoder.preprocess(image) for image in images.values()]))
    known = {name: features(image) for name, image in images.items()}
    table, false = {}, []
    beside = names(run.data)[
        len(gallery) : len(gallery) + 30
    ]  # not of the gallery: they would be found, and rightly
    pieces = ways([opened(run.data, name) for name in beside])
    for way, alter in pieces.items():
        before, among, after = [], [], []
        for place in range(run.number):
            copy = alter(images[gallery[place]], np.random.default_rng([SEED, place]))
            scores = rows @ encoder.encode_pixels(encoder.preprocess(copy)[None])[0]
            nearest = np.argsort(-scores)[:50]
            asked = features(copy)
            same = [other for other in nearest if compare(asked, known[gallery[other]]).verified]
            false += [(way, gallery[place], gallery[other]) for other in same if other != place]
            before.append(nearest[0] == place)
            among.append(place in nearest)
            after.append((same or [nearest[0]])[0] == place)
        table[way] = {"before": np.mean(before), "among 50": np.mean(among), "after": np.mean(after)}
        print(f"{way:16} {table[way]}", flush=True)
    return {
        "gallery": len(gallery), "queries": run.number * len(pieces), "compared": 50 * run.number * len(pieces),
        "first": {way: {name: float(value) for name, value in row.items()} for way, row in table.items()},
        "false": false,
    }  # fmt: skip

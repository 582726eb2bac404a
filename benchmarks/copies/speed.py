"""Measure the CPU time of features and of comparing a pair."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.copies.photographs import names, opened
from benchmarks.copies.run import Run
from retrieval.matching import compare, features
from tools.fit_matching.alterations import PLAIN


def measure(run: Run) -> dict[str, Any]:
    """Measure CPU time of one thread: other processes on the machine make it longer, too."""
    images = [opened(run.data, name) for name in names(run.data)[: run.number]]
    copies = [PLAIN["crop 50 %"](image, np.random.default_rng(place)) for place, image in enumerate(images)]
    found, altered = [features(image) for image in images], [features(image) for image in copies]

    def timed(work: Callable[..., object], arguments: Iterator[tuple[Any, ...]]) -> dict[str, float]:
        took = []
        for some in arguments:
            start = time.thread_time()
            work(*some)
            took.append(1e3 * (time.thread_time() - start))
        return {"median_ms": float(np.median(took)), "least_ms": float(np.min(took))}

    result = {
        "features": timed(features, ((image,) for image in images)),
        "copies": timed(compare, zip(found, altered, strict=True)),
        "other pictures": timed(compare, zip(found, found[1:] + found[:1], strict=True)),
        "bytes": float(np.mean([len(one.to_bytes()) for one in found])),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result), flush=True)
    return result

"""Measure how long a search takes: the median and the 95th percentile of single queries on one thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from indexes.engine import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexes.vectors import Vectors


def latency(search: Callable[[Vectors], object], queries: Vectors) -> dict[str, float]:
    """Return ``p50`` and ``p95`` in milliseconds; zeros without queries.

    Args:
        search: takes one query, ``(1, d)``.
        queries: ``(q, d)``; the first is asked once more before, since what is made once is no part of a search.
    """
    if not len(queries):
        return {"p50": 0.0, "p95": 0.0}
    seconds = []
    with one_thread():
        search(queries[:1])
        for query in queries:
            began = time.perf_counter()
            search(query[np.newaxis])
            seconds.append(time.perf_counter() - began)
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4)}

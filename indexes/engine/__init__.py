"""FAISS and exact search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine import block_lists, chain, costs, flat, gpu_index, ivf, prefixes, tune
    from indexes.engine.backend import (
        allowed_cores,
        faiss,
        faiss_threads,
        fp16_view,
        gpu,
        one_thread,
        threads,
    )
    from indexes.engine.flat import exact
    from indexes.engine.gpu_index import Candidates, Card
    from indexes.engine.ivf import SMALLEST
    from indexes.engine.knn import knn_accuracy
    from indexes.engine.refined import Refined
    from indexes.engine.targets import Aim, same_codes
    from indexes.engine.tune import K, Questions, Trial, Tuned, passes, without
else:
    __getattr__ = lazy(
        __name__,
        {
            "backend": (
                "allowed_cores",
                "faiss",
                "faiss_threads",
                "fp16_view",
                "gpu",
                "one_thread",
                "threads",
            ),
            "block_lists": (),
            "chain": (),
            "costs": (),
            "flat": ("exact",),
            "gpu_index": ("Candidates", "Card"),
            "ivf": ("SMALLEST",),
            "knn": ("knn_accuracy",),
            "prefixes": (),
            "refined": ("Refined",),
            "targets": ("Aim", "same_codes"),
            "tune": ("K", "Questions", "Trial", "Tuned", "passes", "without"),
        },
    )

__all__ = [
    "SMALLEST",
    "Aim",
    "Candidates",
    "Card",
    "K",
    "Questions",
    "Refined",
    "Trial",
    "Tuned",
    "allowed_cores",
    "block_lists",
    "chain",
    "costs",
    "exact",
    "faiss",
    "faiss_threads",
    "flat",
    "fp16_view",
    "gpu",
    "gpu_index",
    "ivf",
    "knn_accuracy",
    "one_thread",
    "passes",
    "prefixes",
    "same_codes",
    "threads",
    "tune",
    "without",
]

"""FAISS and exact search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine import costs, gpu_index, tune
    from indexes.engine.backend import (
        allowed_cores,
        faiss,
        faiss_threads,
        fp16_view,
        gpu,
        in_threads,
        linear,
        one_thread,
        threads,
    )
    from indexes.engine.cuda_driver import cuda_devices
    from indexes.engine.gpu_index import Candidates, Card
    from indexes.engine.lists import (
        SMALLEST,
        Probes,
        block_lists,
        chain,
        factory_strings,
        ivf,
        nearest,
        prefixes,
        segments,
    )
    from indexes.engine.refined import Refined
    from indexes.engine.scan import Floats, exact, flat, knn_accuracy
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
                "in_threads",
                "linear",
                "one_thread",
                "threads",
            ),
            "costs": (),
            "cuda_driver": ("cuda_devices",),
            "gpu_index": ("Candidates", "Card"),
            "lists": (
                "SMALLEST",
                "Probes",
                "block_lists",
                "chain",
                "factory_strings",
                "ivf",
                "nearest",
                "prefixes",
                "segments",
            ),
            "refined": ("Refined",),
            "scan": ("Floats", "exact", "flat", "knn_accuracy"),
            "targets": ("Aim", "same_codes"),
            "tune": ("K", "Questions", "Trial", "Tuned", "passes", "without"),
        },
    )

__all__ = [
    "SMALLEST",
    "Aim",
    "Candidates",
    "Card",
    "Floats",
    "K",
    "Probes",
    "Questions",
    "Refined",
    "Trial",
    "Tuned",
    "allowed_cores",
    "block_lists",
    "chain",
    "costs",
    "cuda_devices",
    "exact",
    "factory_strings",
    "faiss",
    "faiss_threads",
    "flat",
    "fp16_view",
    "gpu",
    "gpu_index",
    "in_threads",
    "ivf",
    "knn_accuracy",
    "linear",
    "nearest",
    "one_thread",
    "passes",
    "prefixes",
    "same_codes",
    "segments",
    "threads",
    "tune",
    "without",
]

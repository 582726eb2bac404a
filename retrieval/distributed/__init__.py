"""Work in other processes: on this machine, or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.distributed.choice import check_cluster, open_cluster
    from retrieval.distributed.ledger import run_jobs
    from retrieval.distributed.nodes import require_alike
    from retrieval.distributed.protocol import Actor, Answer, Cluster

__all__ = ["Actor", "Answer", "Cluster", "check_cluster", "open_cluster", "require_alike", "run_jobs"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "choice": ("check_cluster", "open_cluster"),
            "ledger": ("run_jobs",),
            "nodes": ("require_alike",),
            "protocol": ("Actor", "Answer", "Cluster"),
        },
    )

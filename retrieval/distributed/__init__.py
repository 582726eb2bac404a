"""Work in other processes: on this machine, or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.distributed.choice import check_cluster as check_cluster, open_cluster as open_cluster
    from retrieval.distributed.ledger import run_jobs as run_jobs
    from retrieval.distributed.nodes import require_alike as require_alike
    from retrieval.distributed.protocol import Actor as Actor, Answer as Answer, Cluster as Cluster

lazy(__name__)

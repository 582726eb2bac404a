"""Compare a node's versions and paths with those of this process."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from indexes import DISTRIBUTION
from retrieval.distributed.ledger import TRIES
from retrieval.errors import OptionError, RetrievalError, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.distributed.protocol import Cluster

_PACKAGES = (DISTRIBUTION, "numpy", "faiss-cpu", "faiss-gpu", "lmdb", "onnxruntime")


def require_alike(cluster: Cluster, *, paths: Sequence[str] = ()) -> None:
    """Make sure that every node has this process's versions and sees some paths, before the first job.

    Args:
        cluster: whose nodes are asked.
        paths: absolute paths that must exist on each.
    Raises:
        OptionError: a node differs; the message names it, what it has and what it should have.
        WorkerLost: the process that was asked has ended, `TRIES` times.
    """
    if cluster.is_here:
        return
    own = node_facts(())["versions"]
    for name, facts in _asked(cluster, tuple(paths)).items():
        if isinstance(facts, RetrievalError):
            raise facts
        for package in dict.fromkeys([*own, *facts["versions"]]):
            here, there = own.get(package), facts["versions"].get(package)
            if here != there:
                raise OptionError(
                    f"the node {name} has {package} {there or 'not at all'}, this machine has {here or 'none'}; "
                    "install the same on all nodes"
                )
        if facts["missing"]:
            raise OptionError(
                f"the node {name} sees no {facts['missing'][0]}; source and index must lie where every node finds them under "
                "the same path"
            )


def _asked(cluster: Cluster, paths: Sequence[str]) -> dict[str, Any]:
    """Ask every node; once more where a process, or a node, ends while it is asked."""
    for _ in range(TRIES - 1):
        with suppress(WorkerLost):
            return cluster.everywhere(node_facts, paths)
    return cluster.everywhere(node_facts, paths)


def node_facts(paths: Sequence[str]) -> dict[str, Any]:
    """Return the versions of this process, and which of some paths do not exist here."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"versions": versions, "missing": [path for path in paths if not os.path.exists(path)]}

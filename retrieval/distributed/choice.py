"""Open the cluster that a text names: `here`, `local:N` or `ray`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from retrieval.distributed.protocol import Cluster

_LOCAL = re.compile(r"local(?::([1-9][0-9]{0,3}))?")


def check_cluster(spec: str | None) -> None:
    """Refuse a text that names no cluster.

    Raises:
        OptionError: it does not.
    """
    if spec is None or spec in {"here", "ray"} or _LOCAL.fullmatch(spec) or spec.startswith("ray://"):
        return
    raise OptionError(f"{spec!r:.80} is no cluster; use local, local:N, ray or ray://HOST:PORT")


def open_cluster(spec: str | None, *, gpus: float = 0) -> Cluster:
    """Open a cluster.

    Args:
        spec: ``local[:N]`` for N processes of this machine, as many as it has cores by default; ``ray`` for the cluster that
            ``RAY_ADDRESS`` names, or one on this machine; ``ray://HOST:PORT`` for Ray's client. None is this process.
        gpus: that each job needs.
    Raises:
        OptionError: it names none, or cannot be reached.
        MissingExtra: Ray is not installed.
    """
    check_cluster(spec)
    if spec is None or spec == "here":
        from retrieval.distributed.here import Here

        return Here()
    local = _LOCAL.fullmatch(spec)
    if local is not None:
        from retrieval.distributed.local import LocalCluster

        return LocalCluster(None if local[1] is None else int(local[1]))
    from retrieval.distributed.on_ray import RayCluster

    return RayCluster(None if spec == "ray" else spec, gpus=gpus)

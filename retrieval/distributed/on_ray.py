"""Run functions and keep objects on a Ray cluster: Ray's tasks and actors, nothing else of it."""

from __future__ import annotations

import importlib
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from indexes.distribution import pip_install
from retrieval.errors import MissingExtra, OptionError, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable

STORE_BYTES: Final = 256 << 20
"""Bytes of objects that a Ray which is started here may hold: only ids and small arrays travel."""

ADDRESS: Final = "RAY_ADDRESS"
FOLDER: Final = "RETRIEVE_RAY_DIR"
"""The environment variable that names the folder for the files of a Ray which is started here; Ray's own default without it."""


class _RayAnswer:
    """The answer of a task or of an actor."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def get(self, timeout: float | None = None) -> Any:
        """Wait for it."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(self._reference, timeout=timeout)
        except errors.GetTimeoutError as error:
            raise WorkerLost(f"a worker of Ray has not answered within {timeout:g} s") from error
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:  # the worker, its node or its actor has died
            line = (
                str(error).strip().splitlines()[0].partition(". ")[0]
            )  # behind it lies advice on Ray's own tools
            raise WorkerLost(f"a worker of Ray has ended: {line}; what it committed is kept") from error


class _RayActor:
    """An object that a Ray actor keeps.

    Attributes:
        pid: of the actor's process, on its node.
    """

    pid: int | None = None

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def ask(self, method: str, /, *args: Any, **options: Any) -> _RayAnswer:
        """Call a method."""
        return _RayAnswer(self._ray, self._actor.ask.remote(method, args, options))

    def close(self) -> None:
        """End the actor's process."""
        self._ray.kill(self._actor, no_restart=True)


class _Keeper:
    """What runs in the actor."""

    def __init__(self) -> None:
        self._kept: Any = None

    def make(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> int:
        """Make the object, and return this process's id."""
        self._kept = factory(*args)
        return os.getpid()

    def ask(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a method of the object."""
        return getattr(self._kept, method)(*args, **options)


class RayCluster(AbstractContextManager["RayCluster"]):
    """A Ray cluster: the one that an address names, or one that is started on this machine and ended with this object.

    Args:
        address: ``ray://HOST:PORT``; None for what ``RAY_ADDRESS`` names, or a Ray of this machine alone.
        gpus: that each job needs.
    Raises:
        MissingExtra: Ray is not installed.
        OptionError: it cannot be reached.
    """

    is_here = False

    def __init__(self, address: str | None = None, *, gpus: float = 0) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise MissingExtra(
                f'`cluster="ray"` needs Ray, which is not installed: {pip_install("ray")}'
            ) from error
        self._ray, self._gpus = ray, gpus
        self._started = False
        named = address or os.environ.get(ADDRESS)
        if not ray.is_initialized():
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            if named:
                options["address"] = named
            else:
                options |= {
                    "address": "local",
                    "include_dashboard": False,
                    "object_store_memory": STORE_BYTES,
                }
                if folder := os.environ.get(FOLDER):
                    options["_temp_dir"] = folder
            try:
                ray.init(**options)
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                line = " ".join(str(error).split())
                raise OptionError(
                    f"Ray cannot be reached at {named or 'this machine'}: {line:.300}; it must run there, with this process's versions of Ray and "
                    "Python and its token (RAY_AUTH_TOKEN)"
                ) from error
            self._started = True
        self.name = f"ray at {named or 'this machine'}"

    @property
    def workers(self) -> int:
        """The cores of the cluster; Ray itself says how many jobs run at a time."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, function: Callable[..., Any], /, *args: Any) -> _RayAnswer:
        """Run a function as a task; it is not run again by Ray, whose way of doing so knows nothing of what was committed."""
        remote = self._ray.remote(max_retries=0, num_gpus=self._gpus)(function)
        return _RayAnswer(self._ray, remote.remote(*args))

    def keep(self, factory: Callable[..., Any], /, *args: Any) -> _RayActor:
        """Keep an object in an actor, which takes no core of the cluster while nobody asks."""
        remote = self._ray.remote(
            max_restarts=0, num_cpus=0, num_gpus=self._gpus, scheduling_strategy="SPREAD"
        )(_Keeper)
        actor = remote.remote()
        kept = _RayActor(self._ray, actor)
        try:
            kept.pid = _RayAnswer(self._ray, actor.make.remote(factory, args)).get()
        except BaseException:
            kept.close()
            raise
        return kept

    def everywhere(self, function: Callable[..., Any], /, *args: Any) -> dict[str, Any]:
        """Run a function once on each node that is alive."""
        place: Any = importlib.import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        asked = {
            f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})": self._ray.remote(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=place(node["NodeID"], soft=False),
            )(function).remote(*args)
            for node in nodes
        }
        return {name: _RayAnswer(self._ray, reference).get() for name, reference in asked.items()}

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._started and self._ray.is_initialized():
            self._ray.shutdown()

    def __exit__(self, *_error: object) -> None:
        self.close()

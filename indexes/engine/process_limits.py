"""Say which limit is reached where the system starts no more threads or processes, and keep BLAS within it.

A user (``ulimit -u``), a control group (a container's ``--pids-limit``) and a bounded address space (``ulimit -v``) limit
them. Nothing is damaged by that: `SystemLimit` names the limit and what raises it.
"""

from __future__ import annotations

import _thread
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from indexes.errors import SystemLimit

_LOOKED_AT = 4096
"""Threads that a user may run below which it is tried whether enough can be started; higher limits are taken for none."""

_LIBRARIES = 6
"""Pools of a thread a core that a command may have at once: BLAS of numpy and of FAISS, OpenMP, ONNX Runtime, and two of ours."""

_GROUP = Path("/sys/fs/cgroup")

_NO_THREAD = "can't start new thread"  # Python's words; it keeps no number of the system's error


@contextmanager
def starting(what: str) -> Iterator[None]:
    """Turn the system's refusal to start a thread or process within the block into an error that says what to do.

    Args:
        what: ``thread`` or ``process``.
    Raises:
        SystemLimit: no more may run.
    """
    try:
        yield
    except RuntimeError as error:
        if _NO_THREAD not in str(error):
            raise
        raise SystemLimit(f"no {what} can be started: {_limit()}") from error
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.ENOMEM} or isinstance(error, SystemLimit):
            raise
        raise SystemLimit(f"no {what} can be started: {_limit()}") from error


def _limit() -> str:
    """Name the limits that threads and processes have here, and what raises them."""
    found = []
    most, hard = _of_user()
    if most is not None:
        cure = "raise it" if hard is None or hard > most else "ask an administrator to raise it"
        found.append(f"this user may run {most} of them (ulimit -u); {cure}, or end other programs")
    grouped = _of_group()
    if grouped is not None:
        found.append(f"this container may run {grouped[0]} of them (--pids-limit); raise it")
    memory = _of_memory()
    if memory is not None:
        found.append(f"memory is limited to {memory >> 20} MiB (ulimit -v); raise it")
    if not found:
        found.append("the system has too many, or too little memory; end other programs")
    return f"{'; or '.join(found)}, and run the command again; nothing is damaged"


@cache
def has_room() -> bool:
    """Say whether a thread a core can be started for each library that starts some; asked once.

    OpenBLAS and OpenMP end the process where they cannot start theirs. So where there is no room they get one thread.
    """
    wanted = _LIBRARIES * (os.cpu_count() or 1)
    grouped = _of_group()
    if grouped is not None and grouped[0] - grouped[1] < wanted:
        return False
    most, _ = _of_user()
    return most is None or most >= _LOOKED_AT or _can_start(wanted)


def bound_blas() -> None:
    """Let libraries that are loaded from now on start no thread, where there is no room for theirs and the user has not said how many."""
    if not has_room():
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def require_threads(count: int) -> None:
    """Check that so many threads can run, before work begins that could not be ended in order without them.

    Raises:
        SystemLimit: fewer can be started.
    """
    if not _can_start(count):
        raise SystemLimit(f"{count} threads are needed, and fewer can be started: {_limit()}")


def _of_user() -> tuple[int | None, int | None]:
    """Return how many threads this user may run, and the most that the limit may be raised to; None for no limit."""
    return _limits("RLIMIT_NPROC")


def _of_memory() -> int | None:
    return _limits("RLIMIT_AS")[0]


def _limits(name: str) -> tuple[int | None, int | None]:
    try:
        import resource

        soft, hard = resource.getrlimit(getattr(resource, name))
    except (ImportError, AttributeError):  # no such limits here
        return None, None
    unlimited = resource.RLIM_INFINITY
    return (None if soft == unlimited else soft), (None if hard == unlimited else hard)


def _of_group() -> tuple[int, int] | None:
    """Return how many threads the control group may run and how many it runs; None without a limit."""
    with suppress(OSError, ValueError):  # "max" is no number
        most = int((_GROUP / "pids.max").read_text(encoding="ascii"))
        return most, int((_GROUP / "pids.current").read_text(encoding="ascii"))
    return None


def _can_start(count: int) -> bool:
    """Say whether so many threads can run at once, by starting them."""
    gate = _thread.allocate_lock()
    with gate:
        for _ in range(count):
            try:
                _thread.start_new_thread(_pass, (gate,))
            except RuntimeError:
                return False
    return True


def _pass(gate: _thread.LockType) -> None:
    with gate:
        return

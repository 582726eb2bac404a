"""Share one LMDB environment per store among all openers of a process, also across forks."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from pathlib import Path

from indexes.files import writing
from indexes.store.lmdb.environment import DATA, FORK_SECONDS, Environment

_open: dict[tuple[int, int], Environment] = {}
_guard = threading.Lock()
_abandoned: deque[Environment] = deque()


_held: list[Environment] = []  # by the fork that is under way


def _before_fork() -> None:
    _guard.acquire(timeout=FORK_SECONDS)  # nothing is half opened
    _held.extend(environment for environment in set(_open.values()) if environment.hold())


def _in_parent() -> None:
    while _held:
        _held.pop().go_on()
    with contextlib.suppress(RuntimeError):
        _guard.release()


def _in_child() -> None:
    global _guard  # noqa: PLW0603 - another thread may have held it at the fork
    _guard = threading.Lock()
    _held.clear()
    for environment in set(_open.values()):
        environment.leave_to_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


def is_open(path: Path) -> bool:
    """Say whether this process has the directory ``path`` open."""
    with _guard, contextlib.suppress(OSError):
        return _identity(path) in _open
    return False


def acquire(
    path: Path,
    *,
    names: dict[bytes, dict[str, bool]],
    optional: frozenset[bytes] = frozenset(),
    create: bool = False,
    writable: bool = False,
) -> Environment:
    """Return this process's environment on the directory ``path``, opening it for the first user.

    Args:
        path: the directory that LMDB's files lie in; made with ``create``.
        names: the databases, each with LMDB's flags.
        optional: those that may be missing.
        create: make a new one.
        writable: it will be written to.

    Raises:
        FileNotFoundError: there is none and ``create`` is not set.
        StoreCorrupt: the file is short, or not LMDB's.
        StoreReadOnly: ``writable``, and it cannot be written.
        SystemLimit: no more open files or memory.
    """
    with _guard:
        _sweep()
        if create:
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
        environment = None if create else _open.get(_identity(path))
        if environment is None:
            environment = Environment(path, names=names, optional=optional, create=create, writable=False)
            _open[_identity(path)] = environment
        environment.users += 1
        try:
            if writable:
                environment.make_writable()
        except BaseException:
            _drop(environment)
            raise
        return environment


def release(environment: Environment) -> None:
    """Give up one use of ``environment``; the last one closes it."""
    with _guard:
        _drop(environment)
        _sweep()


def abandon(environment: Environment) -> None:
    """Give up the use of a store that is collected as garbage: at any moment, in the middle of `acquire`, too."""
    _abandoned.append(environment)
    if _guard.acquire(blocking=False):  # else whoever holds it, or comes next, sees to it
        try:
            _sweep()
        finally:
            _guard.release()


def _sweep() -> None:
    while _abandoned:
        _drop(_abandoned.popleft())


def _drop(environment: Environment) -> None:
    environment.users -= 1
    if environment.users == 0:
        for identity in [identity for identity, other in _open.items() if other is environment]:
            del _open[identity]
        environment.close()


def _identity(path: Path) -> tuple[int, int]:
    status = (path / DATA).stat()
    return status.st_dev, status.st_ino

"""Run the server: the socket, one process or several, signals, and the line that says where it is."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from indexes.engine import require_threads, starting
from retrieval.errors import OptionError
from retrieval.server.application import create_app, say_line
from retrieval.server.catalogue import named_collections
from retrieval.server.connections import PatientProtocol, allow_many_connections
from retrieval.server.safety import new_token, shared_sessions
from retrieval.server.scheduling import SHARED, share_machine

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from starlette.applications import Starlette

    from retrieval.server.settings import Settings

_THREADS: Final = 5
"""Threads that a process of a server needs at least: one for each of its queues, one of the event loop, one that decodes."""

_GRACE: Final = 30
"""Seconds that requests which are under way may take when the server stops."""


def serve(
    indexes: Sequence[str],
    settings: Settings,
    *,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serve collections until the process is told to stop; requests that are under way are answered first.

    Args:
        indexes: ``INDEX`` or ``NAME=INDEX`` each; without any, the collection that is found from here.
        settings: of the server.
        say: called with lines for people; by default they go to stderr.
    Raises:
        CollectionNotFound: one is not there.
        OptionError: two have one name, or the address is taken.
        SystemLimit: too few threads can be started.
        KeyboardInterrupt: it was interrupted.
    """
    import dataclasses

    require_threads(_THREADS * settings.workers + (settings.workers > 1))
    share_machine()
    say = say_line if say is None else say
    collections = named_collections(indexes)
    if settings.is_local and settings.allow_hosts and settings.token is None:
        say(
            "note: whoever reaches this server by another name needs no token; give one unless a proxy asks who they are"
        )
    allow_many_connections()
    listening = _bind(settings)
    if not settings.is_local and settings.token is None:
        settings = dataclasses.replace(settings, token=new_token())
        say_line(f"token (shown this once): {settings.token}")  # whoever asks for quiet needs it, too
    address = _address(listening, settings)
    told = partial(_announce, say, list(collections), address)
    if settings.workers == 1:
        _run(_quiet_app(collections, settings, on_ready=told), settings, listening)
        return
    _run_several(collections, settings, listening, told)


def _run(app: Starlette, settings: Settings, listening: socket.socket) -> None:
    with suppress(ValueError):  # not in the main thread: its signals are somebody else's
        # uvicorn stops in order, then gives the signal back: being told to stop is no failure.
        signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(_config(app, settings)).run(sockets=[listening])


def _run_several(
    collections: Mapping[str, Path], settings: Settings, listening: socket.socket, told: Callable[[], None]
) -> None:
    """Run several processes on one socket; one that dies is started anew."""
    import tempfile
    from multiprocessing import get_context

    from uvicorn.supervisors import Multiprocess

    first = _First(get_context("spawn").Lock(), told)
    config = _config(partial(_quiet_app, dict(collections), settings, on_ready=first), settings)
    config.factory = True
    with tempfile.TemporaryDirectory(prefix="retrieval-metrics-") as folder, shared_sessions():
        os.environ[SHARED] = folder  # the processes that are started read it
        with starting("process"):
            Multiprocess(config, sockets=[listening]).run()


def _quiet_app(
    collections: Mapping[str, Path], settings: Settings, *, on_ready: Callable[[], None]
) -> Starlette:
    """Make the application for a process of its own, where what the event loop complains of becomes one line."""
    logging.getLogger("asyncio").addFilter(_OneLine())
    return create_app(collections, settings, on_ready=on_ready)


class _OneLine(logging.Filter):
    """Says complaints of the event loop in one line, once in a while: a full table of files makes thousands a second."""

    _next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SILENCE
            error = record.exc_info[1] if record.exc_info else None
            cure = ""
            if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
                cure = "; clients wait until others leave: let the server open more files (ulimit -n)"
            told = record.getMessage().partition("\n")[0]
            say_line(f"error: {told}{f': {error}' if error else ''}{cure}")
        return False


_SILENCE: Final = 60.0
"""Seconds between two such lines."""


class _First:
    """Calls a function in the process that comes first."""

    def __init__(self, lock: Any, told: Callable[[], None]) -> None:
        self._lock, self._told = lock, told

    def __call__(self) -> None:
        if self._lock.acquire(block=False):
            self._told()


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what goes wrong is said in one line by ours
        access_log=False,
        server_header=False,
        workers=settings.workers,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE,
    )


def _bind(settings: Settings) -> socket.socket:
    """Open the socket that the server listens on.

    Raises:
        OptionError: the address is taken, or is none of this machine's.
    """
    import socket

    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no name or address"
        raise OptionError(
            f"cannot listen on {settings.host}, port {settings.port} ({reason}); give another `port`, or stop what uses it"
        ) from error
    listening.set_inheritable(True)
    return listening


_BACKLOG: Final = 2048


def _address(listening: socket.socket, settings: Settings) -> str:
    """Return where people find the server."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - it is only compared
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}{settings.prefix}/"


def _announce(say: Callable[[str], None], names: Sequence[str], address: str) -> None:
    say(f"serving {', '.join(names)} at {address}")

"""Start ONNX Runtime with its telemetry turned off.

Since 1.29 its wheels for Linux and macOS, as those for Windows before, count sessions and models, write a device number and a
database into the user's cache and send them to their maker. A search of private pictures has no business doing that.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from indexes import forks

VARIABLE = "ORT_DISABLE_TELEMETRY"


@cache
def onnx_runtime() -> Any:
    """Import and return ``onnxruntime``; it reports nothing unless the user has set ``ORT_DISABLE_TELEMETRY`` to another value than 1.

    The variable counts only before the first import (ONNX Runtime's pull request 27379), so everything here imports it by this.
    """
    chosen = os.environ.setdefault(VARIABLE, "1")
    import onnxruntime

    if chosen == "1":
        onnxruntime.disable_telemetry_events()  # Windows does not read the variable
    return onnxruntime


class Session:
    """A graph that ONNX Runtime runs; a forked child, where its threads are missing, opens it anew, as does an unpickled copy.

    Args:
        path: of the graph.
        providers: where it may run, best first.
        threads: how many each step may use; None leaves that to ONNX Runtime, unless this process may use fewer than there are cores.
    Raises:
        Exception: one of ONNX Runtime's own; the graph cannot be opened.
    """

    def __init__(self, path: str, *, providers: Sequence[Any], threads: int | None = None) -> None:
        self._path, self._providers, self._threads = path, providers, threads
        self._lock = forks.Lock()
        self._session: Any = self._open()
        forks.after_fork(self, Session._leave_to_parent)

    def __reduce__(self) -> Any:
        return _session, (self._path, self._providers, self._threads)

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """Return the named outputs, None for all, of the named inputs; safe to call from several threads."""
        found: list[Any] = self._own().run(outputs, feeds)
        return found

    def get_inputs(self) -> list[Any]:
        """Return what ONNX Runtime says of each input: ``name``, ``type``, ``shape``."""
        return list(self._own().get_inputs())

    def get_outputs(self) -> list[Any]:
        """Return what ONNX Runtime says of each output."""
        return list(self._own().get_outputs())

    def get_providers(self) -> list[str]:
        """Return where it runs."""
        return list(self._own().get_providers())

    def _own(self) -> Any:
        session = self._session
        if session is None:
            with self._lock:
                if self._session is None:
                    self._session = self._open()
                session = self._session
        return session

    def _open(self) -> Any:
        runtime = onnx_runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # the library never prints, and what is an error raises
        # Threads that have nothing to do sleep: those that decode the next images need the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        count = self._threads or _fewer_threads()
        if count is not None:
            options.intra_op_num_threads = count
        return runtime.InferenceSession(self._path, options, providers=self._providers)

    def _leave_to_parent(self) -> None:
        """Keep the inherited session for ever: to destroy it is to wait for threads that stayed with the parent."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._session = None


def _fewer_threads() -> int | None:
    """Return how many threads a step may use where this process may not use every core; None where it may.

    ONNX Runtime counts the cores of the machine and pins a thread to each, whatever the process was given: of two
    processes with a core each, both had a thread on the second core, which did three quarters of the work.
    """
    from indexes.engine import threads

    count = threads()
    return count if count < (os.cpu_count() or 1) else None


def _session(path: str, providers: Sequence[Any], threads: int | None) -> Session:
    return Session(path, providers=providers, threads=threads)

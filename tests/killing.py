"""Work in processes that are killed: a server that forks one for every piece of work, and whoever asks it.

The server runs as a program of its own, ``python -m MODULE``, where MODULE calls `serve`. It imports neither pytest nor
Hypothesis, so that work starts at once, and has one thread, so that it may fork.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def serve(work: Callable[..., None]) -> None:
    """Answer each line of the input, words and then seconds, with how the work on these words ended.

    It is killed after so many seconds, never for an empty field. The answer is an exit status, negative for a signal.
    """
    for line in sys.stdin:
        *words, seconds = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                work(*words)
            except BaseException:  # noqa: BLE001 - the parent reports it
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if seconds:
            time.sleep(float(seconds))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


class Server:
    """Work done by a module that serves, in processes of their own, one at a time."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,  # whatever folder the tests before left
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def run(self, *words: object, seconds: float | None = None) -> bool:
        """Have the work on some words done; say whether it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        fields = [*map(str, words), "" if seconds is None else str(seconds)]
        self._process.stdin.write("\t".join(fields) + "\n")
        self._process.stdin.flush()
        ended = int(self._process.stdout.readline())
        assert ended in {0, -signal.SIGKILL}
        return ended != 0

    def close(self) -> None:
        self._process.communicate()

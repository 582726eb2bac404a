"""Start programs that may run few threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

NOBODY = 64_321
"""A user of whom nothing runs: the system counts all that a user runs, and sets root no limit."""


def with_threads(count: int, *command: str | os.PathLike[str]) -> list[str]:
    """Return a command line that runs a command as a user who may run ``count`` threads and processes; skip where there is no such user."""
    words = ["bash", "-c", f'ulimit -u {count} && exec "$@"', "-", *map(os.fspath, command)]
    if os.geteuid() == 0:
        words = [*_as_nobody(), *words]
    tried = subprocess.run(
        [*words[: -len(command)], sys.executable, "-S", "-c", _START], capture_output=True, check=False
    )
    may = tried.stdout.strip() == b"started"
    if tried.returncode != 0 or may is not (count > 1):
        pytest.skip(f"this machine does not limit the threads of a user: {tried.stderr.decode()[-200:]}")
    return words


_START = """
import _thread
try:
    _thread.start_new_thread(int, ())
except RuntimeError:
    print("refused")
else:
    print("started")
"""


def _as_nobody() -> list[str]:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, and root has no limit of threads")
    kept = "+dac_override,+dac_read_search"  # root's files can still be read
    return [
        "setpriv",
        *("--reuid", str(NOBODY), "--clear-groups", "--inh-caps", kept, "--ambient-caps", kept),
        *("--bounding-set", f"{kept},-sys_resource,-sys_admin"),
    ]

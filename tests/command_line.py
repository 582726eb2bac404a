"""Run a command, in a process of its own or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from retrieval.cli import main


def command(
    *words: object, cwd: Path, text: bool = True, **environment: str
) -> subprocess.CompletedProcess[Any]:
    """Run ``retrieve`` in a process of its own, with one thread.

    Args:
        words: what follows the command's name.
        cwd: the working directory.
        text: whether what it prints is text, else bytes.
        environment: variables besides those of this process.
    """
    return subprocess.run(
        [sys.executable, "-m", "retrieval", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=text,
        timeout=120,
        check=False,
    )


def run_here(capture: Any, *words: str | Path) -> tuple[int, bytes, str]:
    """Run ``retrieve`` in this process: its exit status, stdout as bytes, stderr as text.

    Args:
        capture: pytest's ``capsysbinary``.
        words: what follows the command's name.
    """
    capture.readouterr()
    status = main([os.fspath(word) for word in words])
    out, err = capture.readouterr()
    return status, out, err.decode()

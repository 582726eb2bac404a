"""Run a step in a process of its own, and count what it costs: CPU time, bytes written, anonymous memory, disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def anonymous(pid: int | str = "self") -> int:
    """Return the bytes of anonymous memory that a process holds; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return 0 if found is None else int(found[1]) << 10


def written() -> int:
    """Return the bytes that this process has handed to the system to be written, to files and elsewhere."""
    return int(re.findall(r"wchar: (\d+)", Path("/proc/self/io").read_text(encoding="ascii"))[0])


@contextmanager
def costs() -> Iterator[dict[str, float]]:
    """Fill in what the block costs in this process: seconds of CPU and of the clock, and bytes written."""
    facts: dict[str, float] = {}
    began, worked, before = time.perf_counter(), time.process_time(), written()
    yield facts
    facts["cpu_s"] = round(time.process_time() - worked, 4)
    facts["wall_s"] = round(time.perf_counter() - began, 4)
    facts["bytes_written"] = written() - before


def step(name: str, *words: str | Path) -> dict[str, Any]:
    """Run a step of `benchmarks.scale.steps` in a process of its own.

    Returns:
        what it printed as JSON, with the most anonymous memory that it held, sampled every 50 ms.
    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.scale.steps", name, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as run:
        while run.poll() is None:
            peak = max(peak, anonymous(run.pid))
            time.sleep(0.05)
        assert run.stdout is not None
        said = run.stdout.read()
    if run.returncode:
        raise SystemExit(f"{name} ended with {run.returncode}")
    return {**json.loads(said), "peak_anonymous_mib": round(peak / 2**20, 1)}


def bytes_on_disk(directory: Path) -> int:
    """Return the bytes that the files below a directory take on disk; one with several names counts once."""
    found = {
        (stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in map(Path.stat, directory.rglob("*"))
    }
    return sum(found.values())


def forget_pages(directory: Path) -> None:
    """Ask the system to drop what it keeps in memory of the files below a directory."""
    for path in directory.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)

"""What the parts of `bench_search.py` share: sizes, what was built, and how contenders are timed and compared."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import synthetic
from benchmarks.frame import Spread, ratio, spread
from benchmarks.search.engines import PEERS

K = 10
TARGET = 0.95
QUERIES = 2000
DIM = 512
OURS = "retrieval"

Array = np.ndarray[Any, Any]


class Bench:
    """What the parts share: sizes, the folder of what was built, threads and repeats."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rows: int = options.rows
        self.threads: int = options.threads
        self.repeats: int = options.repeats
        self.engines = [name for name in [OURS, *PEERS] if _wanted(name, options.engines)]
        self.work: Path = options.work / f"{options.rows}"
        self.work.mkdir(parents=True, exist_ok=True)
        self.label = f"{options.rows // 1000}k"

    @property
    def recipe(self) -> synthetic.Recipe:
        """What is drawn."""
        return synthetic.Recipe(rows=self.rows, dim=DIM)

    @property
    def base(self) -> Array:
        """``(n, d)`` float16, mapped."""
        return np.load(self.work / "base.npy", mmap_mode="r")

    @property
    def wide(self) -> Array:
        """``(n, d)`` float32 in memory: the same values."""
        from indexes.vectors.arrays import unit_rows

        return np.concatenate(
            [unit_rows(self.base[first : first + 65_536]) for first in range(0, self.rows, 65_536)]
        )

    @property
    def queries(self) -> Array:
        """``(QUERIES, d)`` float32: the first half chooses settings."""
        return np.load(self.work / "queries.npy")

    @property
    def truth(self) -> Array:
        """``(QUERIES, K)`` ids by exact search."""
        return np.load(self.work / "truth.npy")

    @property
    def collection(self) -> Path:
        """Where ours lies."""
        return self.work / "collection"

    def index(self, name: str) -> Path:
        """Where a peer's index lies."""
        return self.work / f"{name.replace(' ', '_').replace(',', '_')}.index"

    def child(self, task: str, *words: str, kernels: str | None = None) -> dict[str, Any]:
        """Run one task of this script in a process of its own and return what it found."""
        command = [
            sys.executable,
            str(Path(__file__).parents[1] / "bench_search.py"),
            "--child",
            task,
            *words,
        ]
        command += [
            "--rows", str(self.rows), "--threads", str(self.threads), "--work", str(self.work.parent),
            "--repeats", str(self.repeats),
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
        if kernels:
            environment["OPENBLAS_CORETYPE"] = kernels
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
        return found


def _wanted(name: str, engines: str | None) -> bool:
    return engines is None or name in engines.split(";")


def recall(found: Array, true: Array) -> float:
    """Return the mean share of the true neighbours that were found."""
    return float(
        np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), true.tolist(), strict=True)])
    )


def rounds(contenders: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, dict[str, Spread]]:
    """Time each contender in alternation: seconds on the clock and of the CPU, one value a round."""
    taken: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in contenders}
    for round_ in range(-1, repeats):
        for name in contenders if round_ % 2 == 0 else reversed(list(contenders)):
            worked, began = time.process_time(), time.perf_counter()
            contenders[name]()
            if round_ >= 0:
                taken[name]["wall"].append(time.perf_counter() - began)
                taken[name]["cpu"].append(time.process_time() - worked)
    return {name: {clock: spread(values) for clock, values in times.items()} for name, times in taken.items()}


def ratios(theirs: Mapping[str, Spread], ours: Mapping[str, Spread]) -> dict[str, Spread]:
    """Return how many times as fast ours is, on both clocks."""
    return {clock: ratio(theirs[clock], ours[clock]) for clock in ("cpu", "wall")}


def shown(name: str, found: Mapping[str, Spread]) -> None:
    """Print one ratio."""
    print(
        f"{name}: {found['cpu'].median:.2f} ({found['cpu'].min:.2f}-{found['cpu'].max:.2f}) of CPU time, "
        f"{found['wall'].median:.2f} on the clock",
        flush=True,
    )


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def anonymous() -> int:
    """Return this process's anonymous memory in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def kernels() -> dict[str, str]:
    """Return which kernels each BLAS in this process chose."""
    from threadpoolctl import threadpool_info

    return {
        f"{library['prefix']} {library['version']}": library.get("architecture", "?")
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }

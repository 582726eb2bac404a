"""Is this version slower than an older one? Pairs of runs, alternating, by CPU time.

    python benchmarks/bench_pairs.py OLD/bin/python NEW/bin/python [--pairs 15] [--only WORDS] [--save NAME]

OLD and NEW are the Python of two environments, each with its version installed. Each version makes its own collections of
the same vectors and images. Both run on one core and one thread, one after the other, every other pair in the reverse order.
A ratio is the old version's time over the new one's within a pair: above 1 the new one is faster. What counts is its median,
with an interval of 95 % by bootstrap. `--same-work` leaves out what only later versions say of a hit: its cosine in double
precision, and how probable the match is. CPU time, because a machine with other users disturbs it least.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import save, watch

WORKER = Path(__file__).with_name("pairs") / "worker.py"
CALLS = [
    "open and search, 6,000 rows",
    "open and search, 100,000 rows",
    "search by id, 6,000 rows",
    "search by id, 100,000 rows",
    "search by 5,000 ids, 100,000 rows",
    "search_vectors of 1, 6,000 rows",
    "search_vectors of 1, 100,000 rows",
    "search_vectors of 64, 6,000 rows",
    "search_vectors of 64, 100,000 rows",
    "search_vectors, a tenth kept",
    "search below a folder",
    "find a key",
    "read a record",
    "read 100 records",
    "read 1,000 rows",
    "scan 6,000 records",
    "publish one change of 6,000 rows",
    "no-op build",
    "build 20,000 x 256",
    "encode 96 photographs",
]
"""What a process that lives on does, as `pairs/worker.py` knows it."""

FIRST_SEARCH = """
import sys, numpy, retrieval
with retrieval.open(sys.argv[1]) as collection:
    collection.search_vectors(numpy.ones((1, collection.space.dim), numpy.float32))
"""


class Side:
    """One version: its Python, its collections, and a process that lives on and answers."""

    def __init__(self, python: str, home: Path, shared: Path, *options: str) -> None:
        self.python, self.home, self.shared = os.path.abspath(python), home, shared
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def ask(self, name: str, files: int = 0) -> Any:
        """Have the process do something and return its answer."""
        if self._process is None:
            self._process = subprocess.Popen(
                [self.python, "-P", str(WORKER), str(self.home), str(self.shared), *self._options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=self.shared.parent,
            )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018
        self._process.stdin.write(json.dumps([name, files]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """End the process; the next question starts another."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def process(self, *words: str) -> tuple[float, float]:
        """Run a process to its end; return its CPU and wall seconds."""
        began = time.perf_counter()
        child = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            cwd=self.shared.parent,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{words} ended with {child.returncode}")
        return used.ru_utime + used.ru_stime, time.perf_counter() - began

    def whole(self, name: str) -> tuple[float, float]:
        """Run one of the whole processes."""
        command = str(Path(self.python).with_name("retrieve"))
        small, large = str(self.home / "small"), str(self.home / "large")
        return self.process(
            *{
                "import retrieval": (self.python, "-c", "import retrieval"),
                "retrieve --help": (command, "--help"),
                "query by words, cold": (command, "query", "--index", small, "a red bus in the snow"),
                "query by id, cold": (command, "query", "--index", small, "--id", "5"),
                "query by id of 100,000, cold": (command, "query", "--index", large, "--id", "5"),
                "open and search 100,000, cold": (self.python, "-c", FIRST_SEARCH, large),
            }[name]
        )


WHOLE = [
    "import retrieval",
    "retrieve --help",
    "query by words, cold",
    "query by id, cold",
    "query by id of 100,000, cold",
    "open and search 100,000, cold",
]


def environment() -> dict[str, str]:
    """Return a user's environment, on one thread."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OPENBLAS_", "PYTHON", "RETRIEVE_"))
    }
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the interval of 95 % of the median, by bootstrap."""
    drawn = np.random.default_rng(0).choice(ratios, (4000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(high)


def compared(old: Side, new: Side, name: str, pairs: int) -> dict[str, Any]:
    """Run one measure in pairs."""
    taken: dict[str, list[tuple[float, float]]] = {"old": [], "new": []}
    for number in range(-1, pairs):
        sides = [("old", old), ("new", new)]
        for label, side in sides if number % 2 else sides[::-1]:
            value = side.whole(name) if name in WHOLE else side.ask(name)
            if number >= 0:
                taken[label].append(value)
    ratios = [before[0] / after[0] for before, after in zip(taken["old"], taken["new"], strict=True)]
    walls = [before[1] / after[1] for before, after in zip(taken["old"], taken["new"], strict=True)]
    low, high = interval(ratios)
    return {
        "old_ms": 1000 * float(np.median([value[0] for value in taken["old"]])),
        "new_ms": 1000 * float(np.median([value[0] for value in taken["new"]])),
        "ratio": float(np.median(ratios)),
        "interval": [low, high],
        "wall_ratio": float(np.median(walls)),
        "pairs": pairs,
    }


def main() -> None:
    """Run the pairs and keep their results."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("old")
    arguments.add_argument("new")
    arguments.add_argument("--pairs", type=int, default=15)
    arguments.add_argument("--files", type=int, default=5_000, help="images of the no-op build")
    arguments.add_argument("--only", default="", help="measures that contain one of these words, split by |")
    arguments.add_argument("--work", type=Path, help="where collections are made, and used again")
    arguments.add_argument(
        "--same-work", action="store_true", help="leave out what only one version's answers say"
    )
    arguments.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    options = arguments.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary, watch() as load:
        work = (options.work or Path(temporary)).absolute()
        shared = work / "shared"
        work.mkdir(parents=True, exist_ok=True)
        how = ("same-work",) if options.same_work else ()
        old = Side(options.old, work / "old", shared, *how)
        new = Side(options.new, work / "new", shared, *how)
        old.ask("share", options.files)
        for side in (old, new):
            side.ask("prepare", options.files)
        words = options.only.split("|")
        results = {}
        for name in WHOLE + CALLS:
            if any(word in name for word in words):
                results[name] = compared(old, new, name, options.pairs)
                print(line(name, results[name]), flush=True)
        old.end()
        new.end()
    if options.save:
        parameters = {"pairs": options.pairs, "files": options.files, "threads": 1, "cores": 1}
        if options.same_work:
            parameters["same_work"] = True
        save(options.save, load=load, parameters=parameters, measures=results)


def line(name: str, facts: dict[str, Any]) -> str:
    """Return one line of the table."""
    low, high = facts["interval"]
    return (
        f"{name:36} {facts['old_ms']:10.3f} {facts['new_ms']:10.3f} ms   old/new {facts['ratio']:.3f} "
        f"({low:.3f}-{high:.3f})  wall {facts['wall_ratio']:.2f}"
    )


if __name__ == "__main__":
    main()

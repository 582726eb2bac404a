"""The frame of every benchmark: contenders run alternately on one machine, medians and spread, results as JSON.

    from benchmarks.frame import alternate, ratio, save, watch

    with watch() as load:                                   # how busy others keep the machine meanwhile
        times = alternate({"ours": ours, "theirs": theirs}, repeats=7)
    save("decode", load=load, parameters={"images": 24}, times=times, ratios={"speed-up": ratio(times["theirs"], times["ours"])})

Contenders are functions without arguments that do the same work. Each round runs every one of them once, every other
round in the reverse order, so that a machine that slows down or wakes up treats all alike, and ratios are taken within rounds.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RESULTS = Path(__file__).parent / "results"

PACKAGES = (
    "numpy",
    "pillow",
    "faiss-cpu",
    "faiss-gpu",
    "lmdb",
    "onnxruntime",
    "torch",
    "torchvision",
    "open_clip_torch",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Some measurements: the median, the least, the greatest, and all of them in the order taken."""

    median: float
    min: float
    max: float
    values: tuple[float, ...]


@dataclass(slots=True, kw_only=True)
class Load:
    """How many cores other processes kept busy on average, and this one with its children, while `watch` looked."""

    others: float = 0.0
    own: float = 0.0
    seconds: float = 0.0


def alternate(
    contenders: Mapping[str, Callable[[], object]], *, repeats: int = 5, warmup: int = 1
) -> dict[str, Spread]:
    """Return each contender's wall time in seconds, over ``repeats`` rounds after ``warmup`` rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(-warmup, repeats):
        order = list(contenders) if round_ % 2 == 0 else list(contenders)[::-1]
        for name in order:
            began = time.perf_counter()
            contenders[name]()
            seconds = time.perf_counter() - began
            if round_ >= 0:
                taken[name].append(seconds)
    return {name: spread(values) for name, values in taken.items()}


def spread(values: Sequence[float]) -> Spread:
    """Summarise measurements of one thing."""
    return Spread(median=statistics.median(values), min=min(values), max=max(values), values=tuple(values))


def ratio(numerator: Spread, denominator: Spread) -> Spread:
    """Divide round by round; with times, (theirs, ours) says how many times as fast ours is."""
    return spread([top / bottom for top, bottom in zip(numerator.values, denominator.values, strict=True)])


@contextmanager
def watch() -> Iterator[Load]:
    """Measure how busy the cores are within the block, by this process with its children and by others (Linux)."""
    load = Load()
    began, busy, own = time.perf_counter(), _busy_seconds(), _own_seconds()
    try:
        yield load
    finally:
        load.seconds = max(0.001, round(time.perf_counter() - began, 3))
        load.own = round((_own_seconds() - own) / load.seconds, 2)
        load.others = round(max(0.0, (_busy_seconds() - busy) / load.seconds - load.own), 2)


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Describe the machine and the software: nothing that names a host, a user or a folder."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "gpu": _run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        "os": f"{_distribution()}, {platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE"),
        "commit": _run("git", "-C", str(RESULTS.parent), "rev-parse", "--short=12", "HEAD"),
        "modified": bool(
            _run("git", "-C", str(RESULTS.parent), "status", "--porcelain", "--untracked-files=no")
        ),
    }


def save(name: str, *, load: Load | None = None, directory: Path = RESULTS, **facts: Any) -> Path:
    """Write ``facts`` with the machine's record into ``benchmarks/results/NAME.json`` and return its path.

    Args:
        name: the benchmark, the file's stem.
        load: what `watch` measured.
        directory: where results lie.
        facts: JSON values and dataclasses (`Spread`, `Load`), for instance ``parameters``, ``times``, ``ratios``.
    Raises:
        ValueError: the text would hold this machine's name, the user's, or the path of a home or of this checkout.
    """
    record = {
        "benchmark": name,
        "command": command(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_cores": None if load is None else asdict(load),
        **facts,
    }
    text = json.dumps(record, indent=2, default=asdict, ensure_ascii=False) + "\n"
    private = (socket.gethostname(), os.environ.get("USER", ""), str(Path.home()), str(RESULTS.parent.parent))
    for word in private:
        if len(word) > 4 and word in text:
            raise ValueError(
                f"the results of {name} would publish {word!r}; record relative paths and no host or user"
            )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_text(text, encoding="utf-8")
    return path


def command() -> str:
    """Return the command that runs this benchmark again."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    script = ["-m", spec.name] if spec is not None else [_relative(sys.argv[0])]
    return " ".join(["python", *script, *(_relative(word) for word in sys.argv[1:])])


def _relative(word: str) -> str:
    """Return a word of the command line, an absolute path shortened to what says nothing about this machine."""
    if not os.path.isabs(word):
        return word
    path = Path(word)
    return (
        str(path.relative_to(RESULTS.parent.parent))
        if path.is_relative_to(RESULTS.parent.parent)
        else path.name
    )


def _busy_seconds() -> float:
    """Return the core-seconds that the whole machine has worked since it started."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"


def _run(*command: str) -> str | None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None

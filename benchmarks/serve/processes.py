"""Start the processes that are measured: the server, and the library without one."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import retrieval
from benchmarks.serve.clients import get
from benchmarks.serve.collections import asked_vectors, pictures, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

_ROOT = Path(__file__).parent.parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 120.0


class Process:
    """A running process and those that it started."""

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def all(self) -> list[int]:
        """The numbers of the process and of all that it started."""
        found = [self.number]
        for parent in found:
            for listed in Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, _text(listed).split())
        return found

    @property
    def cpu(self) -> float:
        """Core-seconds that they have worked."""
        return sum(_worked(number) for number in self.all)

    def memory(self) -> dict[str, float]:
        """Return megabytes: of memory of their own, and with the pages of mapped files."""
        own = resident = 0.0
        for number in self.all:
            told = _text(Path(f"/proc/{number}/smaps_rollup"))
            own += _kilobytes(told, "Anonymous")
            resident += _kilobytes(told, "Pss")
        return {"anonymous_mb": round(own / 1024, 1), "pss_mb": round(resident / 1024, 1)}


class Server(Process):
    """A server that answers.

    Attributes:
        port: where it listens.
        seconds: from its start until it was ready.
    """

    def __init__(self, command: Sequence[str], port: int, *, ready: str, log: Path) -> None:
        self.port = port
        self._log = log.open("wb")
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=environment(), cwd=_ROOT
        )
        super().__init__(self._process.pid)
        try:
            asyncio.run(self._ready(ready, log))
        except BaseException:
            self.stop()
            raise
        self.seconds = time.perf_counter() - began

    async def _ready(self, path: str, log: Path) -> None:
        until = time.monotonic() + _PATIENCE
        while (await get(self.port, path))[0] != 200:
            if self._process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the server did not start:\n{_text(log)[-2000:]}")
            await asyncio.sleep(0.005)

    def stop(self) -> float:
        """Stop it as a service would; return the seconds that it took."""
        began = time.perf_counter()
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        return time.perf_counter() - began

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        told = asyncio.run(get(self.port, "/metrics"))[1].decode()
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)} (\S+)$", told, re.MULTILINE))


@contextmanager
def serving(home: Path, *, work: Path, options: Sequence[str] = ()) -> Iterator[Server]:
    """Serve a collection within a block."""
    port = free_port()
    command = [sys.executable, "-m", "retrieval", "serve", str(home), "--port", str(port), *options]
    server = Server(command, port, ready="/readyz", log=work / "server.log")
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


def environment() -> dict[str, str]:
    """Return a user's environment: no BLAS kernels named."""
    return {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}


class Library(Process):
    """A process that searches without a server."""

    def __init__(self, home: Path, rows: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_search_when_told, args=(str(home), rows, theirs), daemon=True)
        self._process.start()
        super().__init__(self._process.pid or 0)
        self._pipe.recv()

    def search(self, kind: str, count: int, *, together: int) -> tuple[float, float, list[float]]:
        """Search so often; return seconds on the clock, core-seconds, and the seconds of each call."""
        self._pipe.send((kind, count, together))
        found: tuple[float, float, list[float]] = self._pipe.recv()
        return found

    def stop(self) -> None:
        """End it."""
        self._pipe.send(None)
        self._process.join()


@contextmanager
def library(home: Path, rows: int) -> Iterator[Library]:
    """Have a process search within a block."""
    process = Library(home, rows)
    try:
        yield process
    finally:
        process.stop()


def _search_when_told(home: str, rows: int, pipe: Connection) -> None:
    asked: dict[str, list[Any]] = {
        "text": list(words(720)),
        "vector": [retrieval.vector(one) for one in asked_vectors(rows, 512)],
        "image": list(pictures(32)),
    }
    at = dict.fromkeys(asked, 0)
    with retrieval.open(home) as collection:
        for queries in asked.values():
            collection.search(queries[:2])
            collection.search(queries[0])
        pipe.send(None)
        while (told := pipe.recv()) is not None:
            kind, count, together = told
            queries, each = asked[kind], []
            began, worked = time.perf_counter(), time.process_time()
            for start in range(0, count, together):
                some = [
                    queries[(at[kind] + place) % len(queries)]
                    for place in range(min(together, count - start))
                ]
                at[kind] += len(some)
                called = time.perf_counter()
                collection.search(some if together > 1 else some[0])
                each.append(time.perf_counter() - called)
            pipe.send((time.perf_counter() - began, time.process_time() - worked, each))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return ""


def _worked(number: int) -> float:
    fields = _text(Path(f"/proc/{number}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _kilobytes(told: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", told, re.MULTILINE)
    return float(found[1]) if found else 0.0

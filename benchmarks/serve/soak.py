"""Does a server stay as it is? Full load for many minutes while the collection changes again and again."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import retrieval
from benchmarks.serve.clients import Answers, Client, ask_all, json_request, picture_request
from benchmarks.serve.collections import asked_vectors, million, pictures, words
from benchmarks.serve.latency import SEARCH
from benchmarks.serve.processes import Server, environment, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = 32
SAMPLES_EVERY = 5.0

PUBLISHER = """
import sys, time
import numpy as np
import retrieval
home, seconds, every = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
until, rng, number = time.monotonic() + seconds, np.random.default_rng(9), 0
with retrieval.open(home) as collection:
    while time.monotonic() < until:
        began = time.monotonic()
        if number % 5 == 4:
            collection.delete(keys=[f"new/{one}.jpg" for one in range(100 * number - 100, 100 * number)])
        else:
            keys = [f"new/{one}.jpg" for one in range(100 * number, 100 * number + 100)]
            collection.upsert(rng.standard_normal((100, collection.space.dim)), keys)
        number += 1
        print(f"{time.monotonic() - began:.2f}", flush=True)
        time.sleep(max(0.0, min(every - (time.monotonic() - began), until - time.monotonic())))
"""


def soak(work: Path, *, rows: int, minutes: float, every: float) -> dict[str, Any]:
    """Return statuses, latency, publishes, generations seen, and memory over time.

    The load is mixed: words, vectors, filters, ids and some images. A client that is refused waits half a second.
    """
    home = work / f"soak_{rows}"
    if home.exists():
        shutil.rmtree(home)
    shutil.copytree(million(work, rows=rows), home)
    seconds = minutes * 60
    try:
        with serving(home, work=work) as server:
            return _measured(server, home, seconds, rows, every)
    finally:
        shutil.rmtree(home)


def _measured(server: Server, home: Path, seconds: float, rows: int, every: float) -> dict[str, Any]:
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(home), str(seconds), str(every)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    try:
        answers, samples = asyncio.run(_load(server, seconds, rows))
    finally:
        told = publisher.communicate(timeout=120)[0].split("\n")[:-1]
    if publisher.returncode:
        raise SystemExit("the collection could not be changed:\n" + "\n".join(told[-5:]))
    time.sleep(3)  # until the last publish has been seen
    shown = json.loads(asyncio.run(Client(server.port).ask(json_request(server.port, SEARCH, {"id": 0})))[1])
    with retrieval.open(home) as collection:
        if shown["searched"] != len(collection):
            raise SystemExit(f"{len(collection):,} rows were published, and {shown['searched']:,} are served")
    memory = [one["anonymous_mb"] for _, one in samples]
    return {
        "minutes": round(seconds / 60, 1),
        "answers": answers.facts(),
        "failed": answers.failed,
        "publishes": len(told),
        "publish_seconds": told,
        "rows_at_end": shown["searched"],
        "growth": round(_late(memory) / _early(memory) - 1, 4),
        "memory": [{"second": round(at), **one} for at, one in samples],
    }


def _early(memory: Sequence[float]) -> float:
    """Return the median of the second fifth: all that is kept once has been made by then."""
    fifth = max(len(memory) // 5, 1)
    return statistics.median(memory[fifth : 2 * fifth] or memory)


def _late(memory: Sequence[float]) -> float:
    return statistics.median(memory[-max(len(memory) // 5, 1) :])


async def _load(
    server: Server, seconds: float, rows: int
) -> tuple[Answers, list[tuple[float, dict[str, float]]]]:
    samples: list[tuple[float, dict[str, float]]] = []
    began = time.monotonic()

    async def sample() -> None:
        while True:
            samples.append((time.monotonic() - began, server.memory()))
            await asyncio.sleep(SAMPLES_EVERY)

    sampling = asyncio.create_task(sample())
    answers = await ask_all(
        server.port,
        _mixed(server.port, rows),
        clients=CLIENTS,
        seconds=seconds,
        pause=lambda status: 0.5 if status == 429 else 0.0,
    )
    sampling.cancel()
    return answers, samples


def _mixed(port: int, rows: int) -> list[bytes]:
    phrases, vectors, images = words(240), asked_vectors(rows, 240), pictures(12)
    requests = []
    for number in range(240):
        requests += [
            json_request(port, SEARCH, {"text": phrases[number], "k": 10 + number % 3}),
            json_request(port, SEARCH, {"vector": vectors[number].tolist()}),
            json_request(port, SEARCH, {"id": number * 31 % rows, "under": f"album{number % 997:03}"}),
            json_request(port, SEARCH, {"queries": [phrases[number], {"id": number, "weight": 0.5}]}),
        ]
        if number % 20 == 0:
            requests.append(picture_request(port, SEARCH, images[number // 20], k=5))
    return requests

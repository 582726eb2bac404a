"""Do one version's share of `bench_pairs.py`: make its collections once, then time what is asked for, line by line.

Runs in the environment of either version, so it uses only names that both have. Answers JSON, one line a question.
"""

from __future__ import annotations

import gc
import json
import shutil
import struct
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import retrieval
from indexes.store import VectorStore
from retrieval.testing import FakeEncoder

SMALL, LARGE, DIM = 6_000, 100_000, 256
BUILT = 20_000
CHUNKS = 5

HOME = Path(sys.argv[1])
SHARED = Path(sys.argv[2])

# How each version names the flags of rows that may be found.
FILTER = "mask" if hasattr(retrieval.Collection, "mask") else "keep"


def vectors(rows: int, dim: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return float32 rows in clusters, the same for every version."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((200, dim))
    rows_ = centres[generator.integers(0, 200, rows)] + 0.7 * generator.standard_normal((rows, dim))
    return np.asarray(rows_ / np.linalg.norm(rows_, axis=1, keepdims=True), dtype=np.float32)


def names(count: int) -> list[str]:
    """Return one path a row, in a few folders."""
    return [f"{number % 7}/{number}.jpg" for number in range(count)]


def prepare(files: int) -> None:
    """Make the collections and folders that the measures use, unless they are there."""
    if (HOME / "ready").exists():
        return
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    space = retrieval.load_encoder("nano@1").space  # which both versions have
    retrieval.build_index_from_vectors(
        HOME / "small", vectors(SMALL, space.dim), names(SMALL), space=space, kind="flat"
    )
    try:
        from indexes.generation.manifest import read_manifest, write_manifest
    except ImportError:
        from indexes.manifest import read_manifest, write_manifest  # type: ignore[no-redef]
    where = HOME / "small" / ".retrieve"
    write_manifest(where, replace(read_manifest(where), encoder="nano@1"))
    retrieval.build_index_from_vectors(
        HOME / "large", vectors(LARGE, DIM), names(LARGE), space="synthetic", kind="ivfrabitq"
    )
    retrieval.build_index_from_vectors(
        HOME / "changing", vectors(SMALL, DIM), names(SMALL), space="synthetic", kind="flat"
    )
    if files:
        retrieval.build_index(SHARED / "tiny", index=HOME / "tiny", encoder=FakeEncoder())
    (HOME / "ready").touch()


def share(files: int) -> None:
    """Make the images that both versions read: tiny ones by the thousand, and some of 500 x 375."""
    if (SHARED / "ready").exists():
        return
    shutil.rmtree(SHARED, ignore_errors=True)
    generator = np.random.default_rng(1)
    for number in range(files):
        path = SHARED / "tiny" / f"{number // 500:03}" / f"{number}.png"
        if number % 500 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(_png(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)))
    from PIL import Image

    (SHARED / "photos").mkdir(parents=True)
    for number in range(96):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(
            SHARED / "photos" / f"{number}.jpg", quality=90
        )
    (SHARED / "ready").touch()


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in parts
    )


@cache
def opened(name: str) -> Any:
    """Return a collection that stays open."""
    return retrieval.open(HOME / name)


@cache
def store() -> VectorStore:
    """Return the small collection's store, kept open."""
    return VectorStore.open(HOME / "small" / ".retrieve", dim=None)


@cache
def asked(name: str, count: int) -> np.ndarray[Any, Any]:
    """Return queries of a collection's width."""
    return vectors(count, opened(name).space.dim, seed=2)


def open_and_search(name: str) -> None:
    """Open a collection and search it once."""
    with retrieval.open(HOME / name) as collection:
        collection.search_vectors(asked(name, 1), k=10)


def publish() -> None:
    """Change one row of the collection that changes, and publish it."""
    publish.round += 1  # type: ignore[attr-defined]
    rows = vectors(SMALL, DIM)
    rows[publish.round % SMALL] = rows[-1]  # type: ignore[attr-defined]
    retrieval.build_index_from_vectors(HOME / "changing", rows, names(SMALL), space="synthetic")


publish.round = 0  # type: ignore[attr-defined]


def unchanged() -> None:
    """Build again over a folder in which nothing has changed."""
    report = retrieval.build_index(SHARED / "tiny", index=HOME / "tiny", encoder=FakeEncoder())
    if report.encoded or not report.images:
        raise SystemExit(f"not an unchanged build: {report}")


def build() -> None:
    """Build a collection with an index from vectors."""
    shutil.rmtree(HOME / "built", ignore_errors=True)
    retrieval.build_index_from_vectors(
        HOME / "built", vectors(BUILT, DIM), names(BUILT), space="synthetic", kind="ivfrabitq"
    )


def encode() -> None:
    """Encode a small folder with nano."""
    shutil.rmtree(HOME / "encoded", ignore_errors=True)
    retrieval.build_index(SHARED / "photos", index=HOME / "encoded", encoder="nano")


IDS = cycle(range(5_000))
"""Rows that are asked for in turn, where nothing shall be remembered of the one before."""


@cache
def tenth() -> np.ndarray[Any, Any]:
    """Return flags that keep a tenth of the large collection."""
    return np.random.default_rng(3).random(LARGE) < 0.1


MEASURES: dict[str, tuple[int, Callable[[], object]]] = {
    "open and search, 6,000 rows": (10, lambda: open_and_search("small")),
    "open and search, 100,000 rows": (5, lambda: open_and_search("large")),
    "search by id, 6,000 rows": (50, lambda: opened("small").search(5)),
    "search by id, 100,000 rows": (50, lambda: opened("large").search(5)),
    "search_vectors of 1, 6,000 rows": (50, lambda: opened("small").search_vectors(asked("small", 1))),
    "search_vectors of 1, 100,000 rows": (50, lambda: opened("large").search_vectors(asked("large", 1))),
    "search_vectors of 64, 6,000 rows": (3, lambda: opened("small").search_vectors(asked("small", 64))),
    "search_vectors of 64, 100,000 rows": (3, lambda: opened("large").search_vectors(asked("large", 64))),
    "search_vectors, a tenth kept": (
        20,
        lambda: opened("large").search_vectors(asked("large", 1), **{FILTER: tenth()}),
    ),
    "search by 5,000 ids, 100,000 rows": (50, lambda: opened("large").search(next(IDS))),
    "search below a folder": (20, lambda: opened("large").search(5, under=str(HOME / "large" / "3"))),
    "find a key": (500, lambda: store().find(b"3/3.jpg")),
    "read a record": (500, lambda: store().record(77)),
    "read 100 records": (50, lambda: store().records(range(0, 5000, 50))),
    "read 1,000 rows": (50, lambda: store().rows(100, 1100)),
    "scan 6,000 records": (3, lambda: sum(1 for _ in store().scan())),
    "publish one change of 6,000 rows": (1, publish),
    "no-op build": (1, unchanged),
    "build 20,000 x 256": (1, build),
    "encode 96 photographs": (1, encode),
}


def leave_out() -> None:
    """Leave out what the answers of later versions say besides: cosines in double precision, and how probable each match is."""
    try:
        from retrieval.collection import search_run
        from retrieval.collection.snapshots import snapshot
    except ImportError:
        return  # a version that never did it
    unjudged = SimpleNamespace(calibration=None)
    snapshot.rescored = lambda found, *_: found  # type: ignore[attr-defined]
    search_run.judge_of = lambda *_, **__: unjudged  # type: ignore[attr-defined]


def timed(name: str) -> tuple[float, float]:
    """Return the least CPU and wall seconds of one call, of a few tries."""
    calls, function = MEASURES[name]
    best = [float("inf"), float("inf")]
    gc.collect()
    for _ in range(CHUNKS if calls > 1 else 1):
        wall, own = time.perf_counter(), time.process_time()
        for _ in range(calls):
            function()
        best = [
            min(best[0], (time.process_time() - own) / calls),
            min(best[1], (time.perf_counter() - wall) / calls),
        ]
    return best[0], best[1]


def main() -> None:
    """Answer each line of standard input."""
    if "same-work" in sys.argv[3:]:
        leave_out()
    for line in sys.stdin:
        name, files = json.loads(line)
        if name == "share":
            share(files)
            answer: Any = None
        elif name == "prepare":
            prepare(files)
            answer = None
        else:
            answer = timed(name)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

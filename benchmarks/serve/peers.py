"""What do peers cost a request? A minimal service of FastAPI and FAISS, and clip-retrieval's back end, beside ours."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.frame import spread
from benchmarks.serve.clients import Answers, ask_all, json_request
from benchmarks.serve.collections import asked_vectors, million
from benchmarks.serve.latency import SEARCH
from benchmarks.serve.processes import Server, free_port, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LISTS, PROBES = 1024, 32

MINIMAL = """
import sys
import faiss, numpy as np, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
index = faiss.read_index(sys.argv[1])
app = FastAPI()
class Query(BaseModel):
    vector: list[float]
    k: int = 10
@app.post("/search")
def search(query: Query):
    scores, ids = index.search(np.array([query.vector], np.float32), query.k)
    return [{"id": int(i), "score": float(s)} for i, s in zip(ids[0], scores[0])]
@app.get("/readyz")
def ready():
    return {}
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
"""

CLIP_BACK = """
import importlib.util, sys, types
# Vectors are asked, so no model is loaded, nor what encodes folders; its page is built from a folder that the wheel lacks.
package = types.ModuleType("clip_retrieval")
package.__path__ = list(importlib.util.find_spec("clip_retrieval").submodule_search_locations)
front = types.ModuleType("clip_retrieval.clip_front"); front.add_static_endpoints = lambda *_: None
clip = types.ModuleType("all_clip"); clip.load_clip = lambda *_, **__: (None, None, None)
sys.modules |= {"clip_retrieval": package, "clip_retrieval.clip_front": front, "all_clip": clip}
import logging; logging.getLogger("werkzeug").setLevel(logging.ERROR)
from clip_retrieval.clip_back import clip_back
clip_back(indices_paths=sys.argv[1], port=int(sys.argv[2]), enable_mclip_option=False, provide_aesthetic_embeddings=False,
    columns_to_return=["image_path"])
"""

NEEDED = {
    "fastapi": ("fastapi", "uvicorn", "faiss"),
    "clip_back": (
        "clip_retrieval",
        "flask",
        "flask_restful",
        "flask_cors",
        "fire",
        "h5py",
        "pandas",
        "pyarrow",
        "torch",
    ),
}


def peers(work: Path, *, rows: int, repeats: int, count: int = 1000) -> dict[str, Any]:
    """Return latency of one client, and rate and CPU time a request with 32 clients, of vectors, with ours in between.

    Peers search an inverted file of float16 rows, all in memory, ours its own index; so their own search is given too.
    """
    home = million(work, rows=rows)
    index = _index(work, home, rows)
    found: dict[str, Any] = {
        "index": f"IVF{LISTS},SQfp16, {PROBES} probes",
        "search_ms": _own_search(index, rows),
    }
    vectors = [one.tolist() for one in asked_vectors(rows, 512)]
    for name, needed in NEEDED.items():
        missing = [one for one in needed if find_spec(one) is None]
        if missing:
            found[name] = {"skipped": f"not installed: {', '.join(missing)}"}
            continue
        with serving(home, work=work) as ours:
            theirs = _peer(name, work, index)
            try:
                sides = {
                    "ours": (ours, [json_request(ours.port, SEARCH, {"vector": one}) for one in vectors]),
                    name: (theirs, [_REQUESTS[name](theirs.port, one) for one in vectors]),
                }
                found[name] = _rounds(sides, repeats=repeats, count=count)
            finally:
                theirs.stop()
    return found


def _rounds(sides: dict[str, tuple[Server, list[bytes]]], *, repeats: int, count: int) -> dict[str, Any]:
    taken: dict[str, dict[str, list[float]]] = {side: {} for side in sides}
    for round_ in range(-1, repeats):
        for side in list(sides)[:: 1 if round_ % 2 else -1]:
            server, requests = sides[side]
            alone = asyncio.run(ask_all(server.port, requests, clients=1, count=count // 4))
            before = server.cpu
            many = asyncio.run(ask_all(server.port, requests, clients=32, count=count))
            cpu = server.cpu - before
            if round_ < 0:
                continue
            facts = {
                "median_ms": _facts(alone)["median_ms"],
                "p95_ms": _facts(alone)["p95_ms"],
                "requests_per_second": _facts(many)["requests_per_second"],
                "cpu_ms_a_request": round(1000 * cpu / max(many.answered, 1), 3),
            }
            for name, value in facts.items():
                taken[side].setdefault(name, []).append(value)
    return {side: {name: spread(values) for name, values in facts.items()} for side, facts in taken.items()}


def _facts(answers: Answers) -> dict[str, Any]:
    if answers.failed:
        raise SystemExit(f"a server failed: {answers.facts()}")
    return answers.facts()


def _peer(name: str, work: Path, index: Path) -> Server:
    port = free_port()
    if name == "fastapi":
        command, ready = [sys.executable, "-c", MINIMAL, str(index), str(port)], "/readyz"
    else:
        command, ready = (
            [sys.executable, "-c", CLIP_BACK, str(_clip_folder(work, index)), str(port)],
            "/indices-list",
        )
    return Server(command, port, ready=ready, log=work / f"{name}.log")


_REQUESTS: dict[str, Callable[[int, list[float]], bytes]] = {
    "fastapi": lambda port, vector: json_request(port, "/search", {"vector": vector, "k": 10}),
    "clip_back": lambda port, vector: json_request(
        port,
        "/knn-service",
        {
            "embedding_input": vector,
            "modality": "image",
            "num_images": 10,
            "num_result_ids": 10,
            "indice_name": "rows",
            "deduplicate": False,
            "use_safety_model": False,
            "use_violence_detector": False,
        },
    ),
}


def _index(work: Path, home: Path, rows: int) -> Path:
    """Return a FAISS index of the same rows, as a service without this library would have one."""
    import faiss

    path = work / f"peer_{rows}.faiss"
    if path.exists():
        return path
    stored = np.fromfile(home / ".retrieve" / "rerank.f16", dtype=np.float16).reshape(rows, -1)
    index = faiss.index_factory(stored.shape[1], f"IVF{LISTS},SQfp16", faiss.METRIC_INNER_PRODUCT)
    sample = np.random.default_rng(0).choice(rows, min(rows, 50 * LISTS), replace=False)
    index.train(stored[np.sort(sample)].astype(np.float32))
    for start in range(0, rows, 50_000):
        index.add(stored[start : start + 50_000].astype(np.float32))
    index.nprobe = PROBES
    index.make_direct_map()  # which clip-retrieval's way of searching needs
    faiss.write_index(index, str(path))
    return path


def _own_search(index: Path, rows: int) -> float:
    """Return milliseconds of one query in the peers' index, in one thread."""
    import time

    import faiss

    opened = faiss.read_index(str(index))
    queries = asked_vectors(rows, 128)
    opened.search(queries[:2], 10)
    began = time.perf_counter()
    for one in queries:
        opened.search(one[None], 10)
    return round(1000 * (time.perf_counter() - began) / len(queries), 3)


def _clip_folder(work: Path, index: Path) -> Path:
    """Return clip-retrieval's list of indexes, of which there is one with a table of paths."""
    import pandas as pd

    folder = work / f"clip_{index.stem}"
    listed = folder / "indices.json"
    if not listed.exists():
        import faiss

        (folder / "metadata").mkdir(parents=True, exist_ok=True)
        (folder / "image.index").symlink_to(index)
        rows = faiss.read_index(str(index), faiss.IO_FLAG_MMAP).ntotal
        table = pd.DataFrame({"image_path": [f"{number:07}.jpg" for number in range(rows)]})
        table.to_parquet(folder / "metadata" / "metadata_0.parquet")
        listed.write_text(json.dumps({"rows": str(folder)}))
    return listed

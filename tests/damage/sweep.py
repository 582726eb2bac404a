"""Damage files of a collection, and see in a process of its own what opening and searching it then do.

    python -m tests.damage.sweep KIND COUNT SEED

prints a JSON object a damage. This process imports what a search needs and searches nothing; each damage is tried in a fork
of it, with a limit on memory and on time.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from indexes.engine.backend import faiss
from retrieval.errors import RetrievalError
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill

ROWS, DIM = 700, 32
SECONDS = 10
MEMORY = 1 << 30  # bytes of address space that a search may ask for beyond what this process has

KINDS: dict[str, dict[str, Any]] = {
    "flat": {"kind": "flat"},
    "funnel": {"kind": "flat", "truncate_dim": 8},
    "ivfpq": {"kind": "ivfpq"},
    "ivfrabitq": {"kind": "ivfrabitq"},
    "prefix": {"kind": "ivfrabitq", "truncate_dim": 16},
    "sq": {"kind": "IVF8_HNSW4,SQ8"},
    "fastscan": {"kind": "OPQ8,IVF8,PQ8x4fs"},
    "graph": {"kind": "HNSW8,Flat"},
    "refined": {"kind": "IVF8,PQ8,RFlat"},
}

PAYLOAD = ("rerank.f16", "prefixes.f16", "index.faiss")
"""Files whose rows or codes may answer wrongly, if `verify` says so."""

UNSEALED = ("manifest.json", "data.mdb")
"""Files that had no checksums before format 3: damage to one may change an answer, or be found in another file."""

UNREAD = ("report.json", "skipped.tsv", "folders.tsv", "lock.mdb", "lock", "pin")
"""Files that no search reads."""


def build(home: Path, kind: str) -> None:
    """Build a collection with an index, rows behind it, tombstones and keys in folders; or of images; or copy a golden one."""
    if kind.startswith("format-"):
        golden = Path(__file__).parent.parent / "golden" / kind / "collection"
        shutil.copytree(golden, home / ".retrieve")
        return
    if kind == "views":
        fill(home, [f"folder {number % 7}/{number}.png" for number in range(40)])
        encoder = FakeEncoder(dim=DIM, name="damaged")
        retrieval.build_index(home, encoder=encoder, views=4)
        (home / "folder 3" / "3.png").unlink()
        retrieval.build_index(home, encoder=encoder)
        return
    rows = np.random.default_rng(5).standard_normal((ROWS, DIM)).astype(np.float32)
    keys = [f"folder {number % 7}/{number}.jpg" for number in range(ROWS)]
    options: dict[str, Any] = {"device": "cpu", "space": "damaged"}
    retrieval.sync_vectors(home, rows[:-20], keys[:-20], **options, **KINDS[kind])
    retrieval.sync_vectors(home, rows[15:], keys[15:], prune=True, **options)


def answers(home: Path) -> Any:
    """Return what a few searches of every sort find."""
    found: list[Any] = []
    with retrieval.open(home) as collection:
        draws = np.random.default_rng(6).standard_normal((3, collection.space.dim)).astype(np.float32)
        for query in draws:
            for options in ({}, {"exact": True}, {"under": "folder 3"}, {"glob": "*7.jpg"}):
                if options and collection.manifest.migrating:
                    continue
                hits = collection.search(query, k=5, **options)
                found.append(
                    [(hit.path, hit.id, hit.n_duplicates, round(hit.score, 4), hit.region) for hit in hits]
                )
        if not collection.manifest.migrating:
            many = collection.search_vectors(draws, k=5)
            found.append([many.ids.tolist(), np.round(many.scores.astype(float), 4).tolist()])
        found.append(len(collection))
    return json.loads(json.dumps(found))


def tried(home: Path, expected: Any = None) -> dict[str, Any]:
    """Open and search in a fork of this process, verify unless that found what was expected; return what came of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        signal.alarm(SECONDS)
        outcome: dict[str, Any] = {}
        try:
            outcome["answers"] = answers(home)
        except RetrievalError as error:
            outcome["error"] = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is a fault
            outcome["bug"] = repr(error)
        signal.alarm(60)
        if outcome.get("answers", expected) != expected:
            outcome["verify"] = _verified(home)
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    _, status, used = os.wait4(child, 0)
    outcome = json.loads(text) if text else {}
    if os.WIFSIGNALED(status):
        outcome["signal"] = signal.Signals(os.WTERMSIG(status)).name
    return outcome | {"memory": used.ru_maxrss}


def _verified(home: Path) -> dict[str, str]:
    try:
        with retrieval.open(home) as collection:
            return {check.path: check.cure for check in collection.verify() if not check.ok}
    except RetrievalError:
        from indexes.generation.verification import verify

        return {check.path: check.cure for check in verify(home / ".retrieve") if not check.ok}


def damages(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield the name of a file, what is done to it, and its contents after that."""
    draws = random.Random(seed)
    names = [name for name, data in sorted(files.items()) if data]
    for number in range(count):
        name = names[number % len(names)]
        data, what = (
            bytearray(files[name]),
            draws.choice(["flip", "flip", "flip", "byte", "cut", "zero", "swap", "longer"]),
        )
        place = draws.randrange(len(data))
        if draws.random() < 0.3:
            place = min(draws.randrange(200), len(data) - 1)  # headers
        if what == "flip":
            data[place] ^= 1 << draws.randrange(8)
        elif what == "byte":
            data[place] = draws.randrange(256)
        elif what == "cut":
            del data[place:]
        elif what == "zero":
            page = place // 4096 * 4096
            data[page : page + 4096] = bytes(len(data[page : page + 4096]))
        elif what == "longer":
            data += draws.randbytes(draws.randrange(1, 5000))
        else:
            data = bytearray(files[draws.choice(names)])
        if bytes(data) != files[name]:
            yield name, f"{what} at {place}", bytes(data)


def judged(name: str, outcome: dict[str, Any], expected: Any, usual: int, *, sealed: bool = True) -> str:
    """Return what is wrong with an outcome; empty for nothing. Collections of older formats are not ``sealed``."""
    if "signal" in outcome:
        return f"ended by {outcome['signal']}"
    if "bug" in outcome:
        return f"not an error of ours: {outcome['bug']}"
    if outcome["memory"] > 2 * usual:
        return f"{outcome['memory']:,} KiB of memory, usually {usual:,}"
    own = name.rpartition("/")[2]
    found = outcome.get("verify", {})
    if not sealed and own in UNSEALED:
        return ""
    if "error" in outcome:
        shown = "vectors.lmdb" if own == "data.mdb" else own
        return "" if shown in outcome["error"] else f"an error that does not name it: {outcome['error']}"
    if outcome["answers"] == expected:
        return ""
    if own not in PAYLOAD:
        return "a wrong answer"
    return (
        ""
        if any(path.endswith(own) for path in found)
        else f"a wrong answer that verify does not name: {found}"
    )


def sweep(kind: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what came of each damage."""
    faiss()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "c"
        home.mkdir()
        build(home, kind) if kind.startswith("format-") else _built_elsewhere(home, kind)
        folder = home / ".retrieve"
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        whole = tried(home)
        if whole.get("verify") or "answers" not in whole:
            raise SystemExit(f"{kind}: not whole to begin with: {whole}")
        for name, what, data in damages(files, count, seed):
            path = folder / name
            # A hard link to another generation must not be damaged too, and nobody maps the old one.
            path.unlink()
            path.write_bytes(data)
            outcome = tried(home, whole["answers"])
            sealed = not kind.startswith(("format-1", "format-2"))
            wrong = judged(name, outcome, whole["answers"], whole["memory"], sealed=sealed)
            yield {
                "kind": kind,
                "file": name,
                "what": what,
                "fault": wrong,
                "error": outcome.get("error", ""),
            }
            path.write_bytes(files[name])


def _built_elsewhere(home: Path, kind: str) -> None:
    """Build in a fork: training starts threads, which this process must not have."""
    child = os.fork()
    if child == 0:
        try:
            build(home, kind)
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(repr(error))
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit(f"{kind} cannot be built")


def main(kind: str, count: str, seed: str) -> None:
    """Print what came of each damage."""
    for outcome in sweep(kind, int(count), int(seed)):
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Damage files of collections of each kind: an error, or the right answer; never a crash, a hang or gigabytes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean
from tests.retrieval.folders import ids_by_key

SECONDS = 10.0
ROOM = 3 << 30
NOTHING_LOST = {"lock", "lock.mdb", "report.json", "skipped.tsv", "folders.tsv"}
"""Files that no answer depends on."""

PAYLOAD = {"index.faiss", "rerank.f16", "data.mdb"}
"""Files with bits of rows or codes; a wrong answer may come from these bits alone, and verify names the file."""

VERIFY_EVERY = 4
REBUILD_EVERY = 5


def _collections() -> dict[str, Any]:
    return {
        "flat": world.build,
        "flat grown": _grown,
        "ivfpq": lambda place: world.build(place, world.MANY, "--kind", "IVF4,PQ8"),
        "ivfpq fast": lambda place: world.build(place, world.MANY, "--kind", "IVF4,PQ8x4fs"),
        "ivfrabitq": lambda place: world.build(place, world.MANY, "--kind", "IVF4,RaBitQfs"),
        "scalar": lambda place: world.build(place, world.MANY, "--kind", "IVF4,SQ8"),
        "funnel": lambda place: world.build(place, world.MANY, "--truncate-dim", "auto"),
        "narrow": lambda place: world.build(place, world.MANY, "--truncate-dim", "8"),
        "upgrade": lambda place: world.upgraded(place, "15"),
        "upgraded": lambda place: world.upgraded(place, "all"),
        "vectors": world._imported,
    }


def _grown(place: Path) -> None:
    world.build(place)
    world.change(place / world.HOME, world.FEW, world.CHANGED)
    world.must("build-index", place / world.HOME, "--quiet")


def answers(home: Path) -> dict[str, Any]:
    """Ask a collection all sorts of things; what it says, comparably."""
    import retrieval

    told: dict[str, Any] = {}
    with retrieval.open(home) as collection:
        ids = ids_by_key(collection)
        told["keys"] = sorted(ids.items())
        numbers = np.array(sorted(ids.values()))
        rows = collection.vectors(numbers)
        told["rows"] = np.round(rows.astype(np.float64), 2)
        drawn = np.random.default_rng(3).standard_normal((6, rows.shape[1]))
        queries = np.concatenate([drawn, rows[:: max(1, len(rows) // 6)]])  # (q, d)
        for exact in (False, True):
            found = collection.search_vectors(queries, k=5, exact=exact)
            told[f"ids {exact}"], told[f"scores {exact}"] = (
                found.ids,
                np.round(found.scores.astype(np.float64), 3),
            )
        told["filter"] = int(collection.mask(glob="*1*").sum())
        told["hits"] = [[(hit.path, hit.id) for hit in collection.search(int(n), k=3)] for n in numbers[:2]]
        told["by path"] = [(hit.path, hit.id) for hit in collection.search(drawn[0], k=3, glob="*.png")]
        told["info"] = {
            key: value for key, value in collection.info().items() if key not in {"root", "index", "sources"}
        }
    return told


def same(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Return the name of the first answer that differs, or nothing."""
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            there = other[name]
            close = value.shape == there.shape and (
                np.array_equal(value, there)
                if value.dtype.kind == "i"
                else bool(np.allclose(value, there, atol=2e-3))
            )
            if not close:
                return name
        elif value != other[name]:
            return name
    return ""


class Part:
    """One damage a round."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._makers = _collections()
        self._truth: dict[str, tuple[dict[str, Any], int]] = {}

    def round(self, rng: random.Random, number: int) -> None:
        """Damage a file, ask, and now and then verify and build again."""
        name = list(self._makers)[number % len(self._makers)]
        truth, usual = self._prepared(name)
        place = self._work / "place"
        world.copy(self._work / name, place)
        home = place / world.HOME
        files = sorted(
            path for path in (home / ".retrieve").rglob("*") if path.is_file() and path.stat().st_size
        )
        path = rng.choice(files)
        how = self._damage(path, files, rng)
        if how is None:
            return
        what = f"{name}: {path.relative_to(home / '.retrieve')} {how}"
        self._tally.count(how.split(" ")[0])
        ended = events.run(lambda: told(home), seconds=SECONDS, memory=ROOM)
        clean(ended, f"a damaged collection, asked ({path.name})", what)
        peak = ended.peak
        if peak > 2 * usual:
            raise Fault(
                f"a damaged {path.name} takes {peak / usual:.1f} times the memory\n{what}\n{peak >> 20} MB, usually {usual >> 20} MB"
            )
        kind, answer = ended.value
        differs = same(truth, answer) if kind == "answers" else ""
        outcome = "wrong" if differs else kind
        self._tally.by[f"outcome: {outcome}"] += 1
        if outcome == "wrong" or rng.random() < 1 / VERIFY_EVERY:
            self._verify(home, path, how, what, truth, differs)
        if outcome != "wrong" and rng.random() < 1 / REBUILD_EVERY and name != "vectors":
            self._rebuild(home, path, what)

    def _verify(
        self, home: Path, path: Path, how: str, what: str, truth: dict[str, Any], differs: str
    ) -> None:
        ended = events.run(lambda: verdict(home), seconds=60, memory=ROOM)
        clean(ended, f"verify of a damaged collection ({path.name})", what)
        bad = ended.value
        if differs and not bad:
            raise Fault(
                f"a wrong answer ({differs}) from a damaged {path.name}, and verify finds nothing\n{what}"
            )
        if differs and path.name not in PAYLOAD:
            raise Fault(f"a wrong answer ({differs}) from a damaged {path.name}\n{what}\nverify: {bad}")
        unread = (
            path.name == "rerank.f16" and how == "longer"
        )  # rows of a build to come: no manifest counts them
        if not bad and not unread and path.name not in NOTHING_LOST | {"data.mdb"}:
            raise Fault(f"verify does not find a damaged {path.name}\n{what}")
        if not bad and path.name == "data.mdb":
            ended = events.run(lambda: told(home), seconds=60)
            if ended.value is None or ended.value[0] != "answers" or same(truth, ended.value[1]):
                raise Fault(
                    f"verify finds nothing, yet a damaged {path.name} is not read as before\n{what}\n{ended.value}"
                )

    def _rebuild(self, home: Path, path: Path, what: str) -> None:
        """Build again on what is damaged: one line, or a collection that is right."""
        ended = events.run(lambda: world.cli("build-index", home, "--quiet"), seconds=60, memory=ROOM)
        clean(ended, f"a build on a damaged collection ({path.name})", what)
        lines = ended.err.strip().splitlines()
        if "this is a bug" in ended.err or "Traceback" in ended.err:
            raise Fault(f"a build on a damaged {path.name}: {lines[-1][:200]}\n{what}\n{ended.err}")
        if ended.value == 1 and len([line for line in lines if line.startswith("error:")]) != 1:
            raise Fault(f"a build on a damaged {path.name} does not say one line\n{what}\n{ended.err}")
        self._tally.by[f"build after: exit {ended.value}"] += 1

    def _damage(self, path: Path, files: list[Path], rng: random.Random) -> str | None:
        data = bytearray(path.read_bytes())
        way = rng.choice(
            (
                "flip",
                "flip",
                "flip",
                "flips",
                "cut",
                "page",
                "swap",
                "random",
                "longer",
                "empty",
                "gone",
                "extreme",
            )
        )
        if way == "flip":
            at, bit = (
                rng.choice((rng.randrange(len(data)), rng.randrange(min(512, len(data))))),
                rng.randrange(8),
            )
            data[at] ^= 1 << bit
            how = f"flip of bit {bit} at {at} of {len(data)}"
        elif way == "flips":
            for _ in range(20):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            how = "flips of twenty bits"
        elif way == "cut":
            at = rng.choice((rng.randrange(len(data)), len(data) - 1))
            del data[at:]
            how = f"cut at {at}"
        elif way == "page":
            at = rng.randrange(len(data)) // 4096 * 4096
            if not any(data[at : at + 4096]):
                return None
            data[at : at + 4096] = bytes(len(data[at : at + 4096]))
            how = f"page at {at} zeroed"
        elif way == "swap":
            same_name = [other for other in files if other != path]
            other = rng.choice(same_name)
            if other.read_bytes() == bytes(data):
                return None
            data = bytearray(other.read_bytes())
            how = f"swapped for {other.name}"
        elif way == "random":
            at = rng.randrange(len(data))
            length = min(rng.choice((8, 64, 4096)), len(data) - at)
            data[at : at + length] = rng.randbytes(length)
            how = f"random {length} bytes at {at}"
        elif way == "longer":
            data += rng.choice((bytes(1), bytes(5000), rng.randbytes(300), bytes(data)))
            how = "longer"
        elif way == "empty":
            data.clear()
            how = "empty"
        elif way == "extreme":
            at, value = (
                rng.randrange(len(data)),
                rng.choice((b"\xff" * 8, b"\xff" * 4, bytes(4), bytes(8), b"\xff\xff\xff\x7f")),
            )
            if bytes(data[at : at + len(value)]) == value[: len(data) - at]:
                return None
            data[at : at + len(value)] = value[: len(data) - at]
            how = f"extreme number at {at}"
        else:
            path.unlink()
            return "gone"
        path.unlink()
        path.write_bytes(bytes(data))
        return how

    def _prepared(self, name: str) -> tuple[dict[str, Any], int]:
        if name not in self._truth:
            template = self._work / name
            shutil.rmtree(template, ignore_errors=True)
            template.mkdir()
            clean(events.run(lambda: self._makers[name](template)), f"preparing {name}")
            ended = events.run(lambda: told(template / world.HOME))
            clean(ended, f"asking {name}")
            if ended.value[0] != "answers":
                raise Fault(f"an undamaged collection gives no answer\n{name}\n{ended.value}")
            shutil.rmtree(template / world.HOME / ".retrieve" / "pins", ignore_errors=True)
            self._truth[name] = (ended.value[1], ended.peak)
        return self._truth[name]


def told(home: Path) -> tuple[str, Any]:
    """Ask; an error of ours is an answer too."""
    from retrieval.errors import RetrievalError

    try:
        return "answers", answers(home)
    except RetrievalError as error:
        return "error", f"{type(error).__name__}: {error}"


def verdict(home: Path) -> list[str]:
    """Return what verify finds damaged."""
    from indexes.generation.verification import verify
    from retrieval.errors import RetrievalError

    try:
        return [f"{check.path}: {check.cure}" for check in verify(home / ".retrieve") if not check.ok]
    except (RetrievalError, FileNotFoundError) as error:
        return [str(error)]

"""Search in threads and processes while a writer publishes, changes kinds, upgrades and rolls back."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean
from tests.retrieval.folders import ids_by_key

READERS, THREADS = 2, 2
PER_OPENING = 400
MANY_AT_ONCE = 8
MISSED = 0.1  # of the rows that codes are asked for, 0.05 of all are missed where a build stops at its recall
K = 5
KINDS = ("flat", "IVF4,PQ8", "IVF4,SQ8", "IVF4,RaBitQfs", "IVF4,PQ8x4fs")
ACTIONS = ("change", "change", "kind", "upgrade", "backfill", "finish", "rollback", "change", "kind")


@dataclass(slots=True)
class Found:
    """What one reader saw."""

    searches: int = 0
    openings: int = 0
    generations: set[int] = field(default_factory=set)
    faults: list[tuple[str, str]] = field(default_factory=list)


class Part:
    """One writer's life a round, and readers all the while."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._generations = 0
        for seed in [*world.MANY.values(), *range(3000, 3200)]:  # what readers compare with, made once
            for spec in (world.OLD, world.NEW):
                world.vector(seed, spec)

    def round(self, rng: random.Random, number: int) -> None:
        """Write for a while; readers compare every answer with brute force."""
        home, stop = self._work / world.HOME, self._work / "stop"
        world.shutil.rmtree(home, ignore_errors=True)
        stop.unlink(missing_ok=True)
        contents = [dict(world.MANY)]
        fresh = rng.sample(range(3000, 3200), 200)
        for _ in range(6):
            contents.append(_changed(contents[-1], rng, fresh))
        clean(
            events.run(lambda: world.build(self._work, contents[0], "--kind", rng.choice(KINDS))), "building"
        )
        seeds = [rng.random() for _ in range(READERS + 1)]
        readers = [
            events.Running(lambda seed=seed: read(home, stop, contents, random.Random(seed)))
            for seed in seeds[1:]
        ]
        writer = events.Running(
            lambda: write(home, contents, random.Random(seeds[0]), brief=self._tally.brief)
        )
        ended = writer.wait(seconds=300)
        stop.touch()
        found = [reader.wait(seconds=360) for reader in readers]
        for one in found:
            clean(one, "a reader during publishes")
        clean(ended, "a writer beside readers")
        for action, times in ended.value.items():
            self._tally.by[f"published: {action}"] += times
        for one in found:
            self._tally.count("searches", one.value.searches)
            self._tally.by["collections opened"] += one.value.openings
            self._generations += len(one.value.generations)
            for what, detail in one.value.faults[:5]:
                self._tally.fault(what, detail)
        self._tally.facts["generations seen"] = self._generations


def _changed(images: world.Images, rng: random.Random, fresh: list[int]) -> world.Images:
    """Return other contents: some images go, some come, some change; none moves, for a moved row's key changes at once."""
    keys = sorted(images)
    gone = set(rng.sample(keys, 12))
    after = {key: seed for key, seed in images.items() if key not in gone}
    for key in rng.sample(sorted(after), 5):
        after[key] = fresh.pop()
    for _ in range(12):
        after[f"new/{rng.randrange(10_000)}.png"] = fresh.pop()
    return after


def write(home: Path, contents: list[world.Images], rng: random.Random, *, brief: bool) -> dict[str, int]:
    """Do one thing after another to a collection; return how often each was done."""
    done: dict[str, int] = {}
    now, state = 0, "old"
    actions = [*rng.sample(ACTIONS, len(ACTIONS)), "upgrade", "backfill", "rollback"]
    for action in ["change", "kind", "upgrade"] if brief else actions:
        time.sleep(rng.random() * 0.2)
        if action == "change" and now + 1 < len(contents):
            world.change(home, contents[now], contents[now + 1])
            now += 1
            world.must("build-index", home, "--quiet")
        elif action == "kind" and state in {"old", "new"}:
            world.must("build-index", home, "--kind", rng.choice(KINDS), "--quiet")
        elif action == "upgrade" and state == "old":
            world.must(*world._upgrade(home.parent))
            state = "mixed"
        elif action == "backfill" and state == "mixed":
            world.must("upgrade", "--backfill", "100", "--index", home, "--quiet")
            world.must("upgrade", "--backfill", "all", "--index", home, "--quiet")
            state = "new"
        elif action == "finish" and state == "new":
            world.must("upgrade", "--drop-old", "--index", home, "--quiet")
            state = "for ever"
        elif action == "rollback" and state in {"mixed", "new"}:
            world.must("rollback", "--index", home, "--quiet")
            state = "old"
        else:
            continue
        done[action] = done.get(action, 0) + 1
    return done


def read(home: Path, stop: Path, contents: list[world.Images], rng: random.Random) -> Found:
    """Open and search again and again, in threads, until told to stop."""
    import retrieval

    found = Found()
    lock = threading.Lock()
    states = {frozenset(images): images for images in contents}

    def go(seed: float) -> None:
        mine = random.Random(seed)
        collection = None
        try:
            while not stop.exists() and len(found.faults) < 20:
                try:
                    if collection is None or mine.random() < 0.5:
                        if collection is not None:
                            collection.close()
                        collection = retrieval.open(home)
                    else:
                        collection.refresh()
                    with lock:
                        found.openings += 1
                        found.generations.add(collection.manifest.generation)
                    _searches(collection, states, mine, found, lock)
                except Fault as fault:
                    with lock:
                        found.faults.append(tuple(str(fault).partition("\n")[::2]))  # type: ignore[arg-type]
                except Exception as error:  # noqa: BLE001
                    import traceback

                    with lock:
                        found.faults.append(
                            (f"a search during publishes: {type(error).__name__}", traceback.format_exc())
                        )
                    if collection is not None:
                        collection.close()
                    collection = None
        finally:
            if collection is not None:
                collection.close()

    threads = [threading.Thread(target=go, args=(rng.random(),)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _searches(
    collection: Any, states: dict[Any, world.Images], rng: random.Random, found: Found, lock: Any
) -> None:
    ids = ids_by_key(collection)
    images = states.get(frozenset(ids))
    if images is None:
        raise Fault(f"a reader sees keys that no published state had\n{len(ids)} keys")
    facts = collection.info()
    mixed = (facts["upgrade"] or {}).get("state") not in {None, "complete", "rolled back", "finished", "done"}
    keys = sorted(ids)
    numbers = np.array([ids[key] for key in keys])
    if mixed:
        for _ in range(PER_OPENING // 4):
            key = rng.choice(keys)
            hits = collection.search(ids[key], k=1, include_self=True)
            if not hits or images[hits[0].path] != images[key]:
                raise Fault(f"a search during an upgrade: an image does not find itself\n{key}: {hits}")
        with lock:
            found.searches += PER_OPENING // 4
        return
    wanted = np.stack([world.vector(images[key], facts["encoder"]) for key in keys])  # (n, d)
    place_of = {int(number): place for place, number in enumerate(numbers)}
    asked = missed = 0
    for turn in range(PER_OPENING // MANY_AT_ONCE):
        own = rng.choices(range(len(keys)), k=MANY_AT_ONCE)
        queries = wanted[own]
        if turn % 2:
            queries = queries + wanted[rng.choices(range(len(keys)), k=MANY_AT_ONCE)] * 0.5
            queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        exact = turn % 3 == 0
        kind = f"{facts['factory'] or facts['kind']}, generation {collection.manifest.generation}"
        if turn % 4 == 0:  # one at a time
            answers = [collection.search_vectors(query, k=K, exact=exact) for query in queries]
            rows, scores = (
                np.concatenate([getattr(one, name) for one in answers]) for name in ("ids", "scores")
            )
        else:
            answer = collection.search_vectors(queries, k=K, exact=exact)
            rows, scores = answer.ids, answer.scores
        cosines = queries @ wanted.T  # (q, n)
        unknown = [int(row) for row in rows.ravel() if int(row) not in place_of]
        if unknown:
            raise Fault(f"a search during publishes finds rows that are not there\n{unknown} {kind}")
        true = np.take_along_axis(cosines, np.vectorize(place_of.__getitem__)(rows), axis=1)
        double = any(len(set(row)) != K for row in rows.tolist())
        if np.abs(true - scores).max() > world.CLOSE or (np.diff(scores, axis=1) > 0).any() or double:
            raise Fault(f"a search during publishes scores wrongly\n{rows} {scores} {true} {kind}")
        best = -np.sort(-cosines, axis=1)[:, :K]
        if exact and np.abs(best - scores).max() > world.CLOSE:
            raise Fault(f"an exact search during publishes misses rows\n{scores} {best} {kind}")
        if not turn % 2:
            asked += len(own)
            missed += int((scores[:, 0] < 1 - world.CLOSE).sum())
    if missed > (0 if facts["kind"] == "flat" else asked * MISSED):
        raise Fault(f"rows do not find themselves during publishes\n{missed} of {asked} {kind}")
    with lock:
        found.searches += PER_OPENING
    os.sched_yield()

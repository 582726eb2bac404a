"""Let several writers start at once, and let processes fork around open collections."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import Any

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean

OTHERS = ("build", "build", "kind", "upgrade", "export", "build", "verify")
BUSY = "is writing to this collection"


class Part:
    """By turns writers at once, and forks."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._template = work / "template"
        self._template.mkdir()
        clean(events.run(lambda: world.build(self._template, world.MANY, "--kind", "IVF4,SQ8")), "preparing")

    def round(self, rng: random.Random, number: int) -> None:
        """Make one round of either."""
        place = self._work / "place"
        world.copy(self._template, place)
        if number % 2:
            self._forks(place / world.HOME, rng, number)
        else:
            self._writers(place / world.HOME, rng)

    def _writers(self, home: Path, rng: random.Random) -> None:
        after = {key: seed for key, seed in world.MANY.items() if not key.endswith("3")} | {
            "new.png": 4000,
            "n/2.png": 4001,
        }
        world.change(home, world.MANY, after)
        started = []
        for _ in range(rng.choice((2, 3))):
            what = rng.choice(OTHERS)
            late = rng.random() * 0.2
            started.append((what, events.Running(lambda what=what, late=late: _other(home, what, late))))
        killed = rng.randrange(len(started)) if rng.random() < 0.3 else -1
        done = []
        for place, (what, running) in enumerate(started):
            ended = running.wait(kill_after=rng.random() * 0.5 if place == killed else None, seconds=60)
            if place != killed or ended.status != -9:
                clean(ended, f"{what} beside another writer")
                if ended.value != 0 and not (
                    ended.value == 1 and (BUSY in ended.err or what in {"upgrade", "export"})
                ):
                    raise Fault(f"{what} beside another writer: exit {ended.value}\n{ended.err}")
                if "this is a bug" in ended.err or "Traceback" in ended.err:
                    raise Fault(f"{what} beside another writer: a bug\n{ended.err}")
            done.append(what)
        self._tally.count("writers", len(started))
        states = [world.State.of(after, world.OLD), world.State.of(after, world.OLD, world.NEW, mixed=True)]
        what = f"{done}, killed: {killed}"
        ended = events.run(lambda: world.must("build-index", home, "--quiet"))
        clean(ended, "a build after several writers", what)
        ended = events.run(lambda: (world.seen(home, states), world.verified(home)))
        clean(ended, "a collection after several writers, asked", what)
        if more := [path for path in world.shape(home) if ".partial" in path]:
            raise Fault(f"something is left after several writers\n{what}\n{more}")

    def _forks(self, home: Path, rng: random.Random, number: int) -> None:
        way = "fork" if number % 20 != 19 else rng.choice(("spawn", "forkserver"))
        when = rng.choice(("opened before", "opened after", "searched before", "searched in threads"))
        what = rng.choice(("search", "open", "build", "close"))
        many = rng.choice((1, 3))
        ended = events.run(lambda: _around(home, way, when, what, many), seconds=90 if way != "fork" else 40)
        clean(ended, f"{what} in a child ({way}), {when}", f"{many} children")
        self._tally.count(f"{way}: {what}", many)


def _other(home: Path, what: str, late: float) -> int:
    time.sleep(late)
    if what == "upgrade":
        return world.cli(*world._upgrade(home.parent))
    if what == "export":
        where = home.parent / f"out {os.getpid()}"
        return world.cli(
            "export", "--vectors", f"{where}.npy", "--keys", f"{where}.txt", "--index", home, "--quiet"
        )
    if what == "verify":
        return world.cli("verify", "--index", home, "--quiet")
    kind = ("--kind", "IVF4,PQ8") if what == "kind" else ()
    return world.cli("build-index", home, *kind, "--quiet")


def _around(home: Path, way: str, when: str, what: str, many: int) -> None:
    """Open and search as asked for, then let children work, then work on."""
    import retrieval
    from indexes.engine.backend import faiss

    faiss().omp_set_num_threads(2)
    collection: Any = None
    if when != "opened after":
        collection = retrieval.open(home)
    if when.startswith("searched"):
        rows = collection.vectors(list(range(64)))
        collection.search_vectors(rows, k=5)
    if when == "searched in threads":
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda row: collection.search_vectors(row, k=3), rows[:12]))
    if way == "fork":
        pids = []
        for _ in range(many):
            pid = os.fork()
            if pid == 0:
                status = 3
                try:
                    task(home, what, collection)
                    status = 0
                except BaseException:  # noqa: BLE001
                    import traceback

                    traceback.print_exc()
                os._exit(status)
            pids.append(pid)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    else:
        context = multiprocessing.get_context(way)
        children = [context.Process(target=task, args=(home, what, None)) for _ in range(many)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        statuses = [child.exitcode for child in children]
    if any(statuses):
        raise Fault(f"a child ends with {statuses}")
    after = collection or retrieval.open(home)
    if reason := world.differs(after, world.State.of(world.MANY, world.OLD)):
        raise Fault(f"the parent's collection after its children\n{reason}")
    after.search_vectors(after.vectors(list(range(64))), k=5)
    world.must("build-index", home, "--quiet")


def task(home: Path, what: str, collection: Any) -> None:
    """Do in a child what is asked, with the parent's collection or one of its own."""
    import retrieval
    from retrieval.errors import StoreLocked

    world.warm_child()
    state = world.State.of(world.MANY, world.OLD)
    if what == "build":
        try:
            retrieval.build_index(home)
        except StoreLocked:
            return  # a sister builds
    if what == "close" and collection is not None:
        collection.close()
        return
    mine = collection if collection is not None and what == "search" else retrieval.open(home)
    if reason := world.differs(mine, state):
        raise Fault(reason)
    mine.search_vectors(mine.vectors(list(range(64))), k=5)

"""Add, replace, delete and search rows from two processes of four threads, kill them at random, and compare with a dict.

Every call is written to a journal before it starts and after it has returned. What a collection holds after a kill must be
what was acknowledged, with each call that was under way there in whole or not at all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean

PROCESSES, THREADS = 2, 4
DIM = 16
OWN, SHARED, BASE = 12, 6, 200
VALUES = 64
"""Keys of each thread, keys that all write, rows that none writes; how many vectors a key can have."""

TIMEOUT = 60.0
EPISODES, SECONDS = 4, (0.3, 3.0)
ACTIONS = {"add": 20, "upsert": 20, "delete": 14, "shared": 12, "writer": 3, "refused": 5, "refresh": 8}
SEARCHES = 40
SETTLED = "settled"

State = dict[str, int]
"""Which value each key has."""


@cache
def vector(key: str, value: int) -> np.ndarray:
    """Return the unit vector that a key has with a value: ``(d,)`` float32."""
    row = np.random.default_rng([*key.encode(), value]).standard_normal(DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


def vectors(changes: list[tuple[str, int]]) -> np.ndarray:
    return np.stack([vector(key, value) for key, value in changes])


def columns(changes: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return the columns that rows have beside their vectors; those that no thread writes have none."""
    return [{} if key in BASE_KEYS else {"of": key, "value": value} for key, value in changes]


@dataclass(slots=True)
class Call:
    """One call that changes rows, as the journal has it.

    Attributes:
        changes: keys and their new values; None for a deletion.
        began, ended: the clock that all processes share; `ended` is None for a call that was under way.
        outcome: ``done`` or ``refused``.
    """

    what: str
    changes: list[tuple[str, int | None]]
    began: float
    ended: float | None = None
    outcome: str = ""


class Journal:
    """What one thread did, on disk before and after each call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def start(self, what: str, changes: list[tuple[str, int | None]]) -> None:
        self._write([what, changes, time.monotonic()])

    def end(self, outcome: str) -> None:
        self._write([outcome, time.monotonic()])

    def _write(self, record: list[Any]) -> None:
        os.write(self._file, json.dumps(record).encode() + b"\n")
        os.fsync(self._file)

    @staticmethod
    def read(path: Path) -> list[Call]:
        """Return the calls of a journal; the last may have no end."""
        calls: list[Call] = []
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if len(record) == 3:
                what, changes, began = record
                calls.append(Call(what, [(key, value) for key, value in changes], began))
            else:
                calls[-1].outcome, calls[-1].ended = record
        return calls


def own_keys(slot: int) -> list[str]:
    return [f"thread {slot}/{number}" for number in range(OWN)]


SHARED_KEYS = [f"shared/{number}" for number in range(SHARED)]
BASE_KEYS = [f"base/{number}" for number in range(BASE)]


class Part:
    """One collection's life a round: written, killed, checked, and so on."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally

    def round(self, rng: random.Random, number: int) -> None:
        """Make a collection, let it be written and killed a few times, then check all of it."""
        home = self._work / "rows"
        shutil.rmtree(home, ignore_errors=True)
        kind = ("flat", "flat", "IVF4,SQ8")[number % 3]
        clean(events.run(lambda: make(home, kind)), "making a collection")
        state: State = {} if kind == "flat" else dict.fromkeys(BASE_KEYS, 0)
        for _ in range(2 if self._tally.brief else EPISODES):
            state = self._episode(home, state, rng)
        ended = events.run(lambda: finished(home, state), seconds=120)
        clean(ended, "a collection after its life of writers", kind)
        self._tally.facts["most rows with tombstones"] = max(
            ended.value, self._tally.facts.get("most rows with tombstones", 0)
        )

    def _episode(self, home: Path, state: State, rng: random.Random) -> State:
        """Let processes write until they are killed; return what the collection then holds."""
        place = self._work / "journals"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        seeds = [rng.random() for _ in range(PROCESSES)]
        running = [
            events.Running(
                lambda number=number: work(home, place, number, state, random.Random(seeds[number]))
            )
            for number in range(PROCESSES)
        ]
        kills = [rng.uniform(*SECONDS) for _ in range(PROCESSES)]
        began = time.monotonic()
        for number in sorted(range(PROCESSES), key=kills.__getitem__):
            time.sleep(max(0.0, began + kills[number] - time.monotonic()))
            os.kill(running[number].pid, signal.SIGKILL)
        for one in running:
            ended = one.wait(seconds=120)
            if ended.status != -signal.SIGKILL or ended.error:
                clean(ended, "a process that writes rows beside another")
                raise Fault(f"a process that writes rows beside another: exit {ended.status}\n{ended.err}")
        calls = [Journal.read(path) for path in sorted(place.glob("*.journal"))]
        for slot in calls:
            for call in slot:
                if call.ended is not None:
                    self._tally.count(call.what if call.outcome == "done" else f"{call.what}: refused")
                else:
                    self._tally.by["calls killed"] += 1
        for path in place.glob("*.count"):
            for what, times in json.loads(path.read_text(encoding="ascii") or "{}").items():
                self._tally.count(what, times)
        told = f"killed after {', '.join(f'{kill:.2f}' for kill in kills)} s"
        ended = events.run(lambda: settled(home, state, calls), seconds=120)
        clean(ended, "rows after kills", told)
        self._tally.by["processes killed"] += PROCESSES
        found: State = ended.value
        return found


def make(home: Path, kind: str) -> None:
    """Make an empty collection by hand, or one of a compressed kind that holds rows already."""
    import retrieval

    if kind == "flat":
        retrieval.create(home, dim=DIM).close()
    else:
        rows = vectors([(key, 0) for key in BASE_KEYS])
        retrieval.sync_vectors(home, rows, BASE_KEYS, kind=kind)


# What the writers do.


def work(home: Path, place: Path, number: int, state: State, rng: random.Random) -> None:
    """Write and search in threads that share one collection, until killed."""
    import retrieval

    faults: list[BaseException] = []
    collection = retrieval.open(home)
    slots = range(number * THREADS, (number + 1) * THREADS)
    writers = [Writer(collection, place, slot, state, random.Random(rng.random())) for slot in slots]
    for writer in writers:
        threading.Thread(target=writer.run, args=(faults,), daemon=True).start()
    while not faults:
        time.sleep(0.01)
    raise faults[0]


@dataclass(slots=True)
class Writer:
    """One thread: it alone writes its own keys, so it knows what they are at every moment."""

    collection: Any
    place: Path
    slot: int
    state: State
    rng: random.Random
    have: State = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    next: int = 0

    def run(self, faults: list[BaseException]) -> None:
        try:
            self.have = {key: self.state[key] for key in own_keys(self.slot) if key in self.state}
            self.next = 1 + max(self.have.values(), default=0)
            journal = Journal(self.place / f"{self.slot}.journal")
            names = [*ACTIONS, "search"]
            weights = [*ACTIONS.values(), SEARCHES]
            while not faults:
                (what,) = self.rng.choices(names, weights)
                if what in {"refresh", "search"}:
                    getattr(self, f"_{what}")()
                    self.counts[what] = self.counts.get(what, 0) + 1
                    if not sum(self.counts.values()) % 5:
                        (self.place / f"{self.slot}.count").write_text(json.dumps(self.counts))
                else:
                    getattr(self, f"_{what}")(journal)
        except BaseException as fault:  # noqa: BLE001 - the process tells it
            faults.append(fault)

    def _new(self, keys: list[str]) -> list[tuple[str, int]]:
        self.next += 1
        return [(key, self.next) for key in keys]

    def _some(self, keys: list[str], most: int) -> list[str]:
        return self.rng.sample(keys, min(len(keys), self.rng.randint(1, most)))

    def _add(self, journal: Journal) -> None:
        absent = [key for key in own_keys(self.slot) if key not in self.have]
        changes = self._new(self._some(absent, 4))
        if changes:
            journal.start("add", changes)
            self.collection.add(
                vectors(changes),
                keys=[key for key, _ in changes],
                columns=columns(changes),
                timeout=TIMEOUT,
            )
            journal.end("done")
            self.have.update(changes)
            self._seen(changes)

    def _upsert(self, journal: Journal) -> None:
        changes = self._new(self._some(own_keys(self.slot), 4))
        journal.start("upsert", changes)
        keys = [key for key, _ in changes]
        self.collection.upsert(vectors(changes), keys, columns=columns(changes), timeout=TIMEOUT)
        journal.end("done")
        self.have.update(changes)
        self._seen(changes)

    def _delete(self, journal: Journal) -> None:
        keys = self._some(sorted(self.have), 3)
        if not keys:
            return
        by_id = (
            {"ids": [self.collection.id_of(key) for key in keys]}
            if self.rng.random() < 0.5
            else {"keys": keys}
        )
        journal.start("delete", [(key, None) for key in keys])
        self.collection.delete(**by_id, timeout=TIMEOUT)
        journal.end("done")
        for key in keys:
            gone = vector(key, self.have.pop(key))
            if key in self.collection or self._found(gone) == key:
                raise Fault(f"a deleted row is still found\n{key}")

    def _shared(self, journal: Journal) -> None:
        from retrieval.errors import MissingRow, OptionError

        key, value = self.rng.choice(SHARED_KEYS), self.rng.randrange(VALUES)
        what = self.rng.choice(("add", "upsert", "delete"))
        journal.start(what, [(key, None if what == "delete" else value)])
        try:
            if what == "delete":
                self.collection.delete(keys=[key], timeout=TIMEOUT)
            else:
                call = getattr(self.collection, what)
                call(vector(key, value), [key], columns=columns([(key, value)]), timeout=TIMEOUT)
        except (MissingRow, OptionError):
            if what == "upsert":
                raise
            journal.end("refused")
        else:
            journal.end("done")

    def _refused(self, journal: Journal) -> None:
        """Make a call that names something wrong beside something right: neither may happen."""
        from retrieval.errors import RetrievalError

        there = sorted(self.have)
        absent = [key for key in own_keys(self.slot) if key not in self.have]
        if not there or not absent:
            return
        try:
            if self.rng.random() < 0.5:
                changes = self._new([self.rng.choice(absent), self.rng.choice(there)])
                self.collection.add(vectors(changes), keys=[key for key, _ in changes], timeout=TIMEOUT)
            else:
                self.collection.delete(
                    keys=[self.rng.choice(there), self.rng.choice(absent)], timeout=TIMEOUT
                )
        except RetrievalError:
            self.counts["refused"] = self.counts.get("refused", 0) + 1
            self._all()
        else:
            raise Fault("a call that names a wrong key is done")

    def _writer(self, journal: Journal) -> None:
        changes: list[tuple[str, int | None]] = []
        steps = []
        now = dict(self.have)
        for _ in range(self.rng.randint(2, 5)):
            if now and self.rng.random() < 0.3:
                key = self.rng.choice(sorted(now))
                steps.append(("delete", [(key, None)]))
                del now[key]
            else:
                some = self._new(self._some(own_keys(self.slot), 3))
                steps.append(("upsert", some))
                now.update(some)
            changes += steps[-1][1]
        journal.start("writer", changes)
        with self.collection.writer(timeout=TIMEOUT) as writer:
            for what, some in steps:
                keys = [key for key, _ in some]
                if what == "delete":
                    writer.delete(keys=keys)
                else:
                    writer.upsert(vectors(some), keys, columns=columns(some))
        journal.end("done")
        self.have = now
        self._all()

    def _refresh(self) -> None:
        self.collection.refresh()

    def _search(self) -> None:
        if self.rng.random() < 0.1:
            self._all()
        elif self.have:
            key = self.rng.choice(sorted(self.have))
            self._seen([(key, self.have[key])])
        key = self.rng.choice(SHARED_KEYS)
        try:
            row = self.collection.vectors([key])[0]
        except LookupError:
            return
        if value_of(key, row) is None:
            raise Fault(f"a row that others write has a vector that nobody wrote\n{key}")

    def _found(self, row: np.ndarray) -> str | None:
        """Return the key of the row that is this vector, if there is one."""
        ids, scores = self.collection.search_vectors(row, k=1, exact=True)
        if ids[0, 0] < 0 or scores[0, 0] < 1 - world.CLOSE:
            return None
        try:
            return str(self.collection.key_of(ids[0, 0]))
        except LookupError:  # another thread deleted it meanwhile
            return None

    def _seen(self, changes: list[tuple[str, int]]) -> None:
        """Check that own rows are what was written, by key and by search."""
        for key, value in changes:
            row = vector(key, value)
            if np.abs(self.collection.vectors([key])[0] - row).max() > world.CLOSE:
                raise Fault(f"a row is not what its own thread wrote\n{key} {value}")
            if (found := self._found(row)) != key:
                raise Fault(f"a row that was acknowledged is not found\n{key} {value}: {found}")

    def _all(self) -> None:
        prefix = f"thread {self.slot}/"
        keys = {key for key in self.collection.keys() if key.startswith(prefix)}  # noqa: SIM118
        if keys != set(self.have):
            raise Fault(f"a thread's own keys differ\n{sorted(keys)}\n{sorted(self.have)}")
        self._seen(self.rng.sample(sorted(self.have.items()), min(3, len(self.have))))


# What must be there afterwards.


def value_of(key: str, row: np.ndarray, values: Iterator[int] | range = range(VALUES)) -> int | None:
    """Return which of a key's values a stored vector is."""
    for value in values:
        if np.abs(vector(key, value) - row).max() <= world.CLOSE:
            return value
    return None


def read(collection: Any, written: dict[str, set[int]]) -> State:
    """Return which value each key has; each must be one that was written to it."""
    keys = list(collection.keys())
    if len(keys) != len(set(keys)) or len(keys) != len(collection):
        raise Fault(f"keys stand twice, or are not as many as rows\n{len(keys)} {len(collection)}")
    rows = collection.vectors(keys) if keys else []
    state: State = {}
    for key, row in zip(keys, rows, strict=True):
        value = value_of(key, row, iter(sorted(written.get(key, ()))))
        if value is None:
            raise Fault(
                f"a row is there that was never written\n{key}, written: {sorted(written.get(key, ()))}"
            )
        if collection.key_of(collection.id_of(key)) != key:
            raise Fault(f"the id of a key is another key's\n{key}")
        state[key] = value
    if collection.columns(keys) != columns(list(state.items())):
        raise Fault(f"columns are not those of the rows\n{collection.columns(keys)}\n{state}")
    return state


def settled(home: Path, before: State, calls: list[list[Call]]) -> State:
    """Check what killed writers left, as it is and after the next write; return it."""
    import retrieval

    written: dict[str, set[int]] = {key: {value} for key, value in before.items()}
    for call in (call for slot in calls for call in slot):
        for key, value in call.changes:
            if value is not None:
                written.setdefault(key, set()).add(value)
    with retrieval.open(home) as collection:
        state = read(collection, written)
        _compare(state, before, calls, "as it was left")
        mark = before.get(SETTLED, 0) + 1
        own = columns([(SETTLED, mark)])
        collection.upsert(vector(SETTLED, mark), [SETTLED], columns=own, timeout=TIMEOUT)
        written.setdefault(SETTLED, set()).add(mark)
        state = read(collection, written)
        _compare(state, {**before, SETTLED: mark}, calls, "after the next write")
    with retrieval.open(home) as again:
        if read(again, written) != state:
            raise Fault("a collection that is opened anew shows other rows")
    return state


def _compare(state: State, before: State, calls: list[list[Call]], when: str) -> None:
    shared = set(SHARED_KEYS)
    expected = {key: value for key, value in before.items() if key not in shared}
    open_calls = []
    for slot in calls:
        for call in slot:
            if call.changes[0][0] in shared:
                continue
            if call.ended is None:
                open_calls.append(call)
            elif call.outcome == "done":
                apply(expected, call)
    for call in open_calls:
        _in_whole_or_not(state, expected, call, when)
    found = {key: value for key, value in state.items() if key not in shared and key != SETTLED}
    expected.pop(SETTLED, None)
    if found != expected:
        lost = {key: value for key, value in expected.items() if found.get(key) != value}
        more = {key: value for key, value in found.items() if expected.get(key) != value}
        raise Fault(f"rows differ from a dict {when}\nacknowledged: {lost}\nfound: {more}")
    for key in SHARED_KEYS:
        _linear(key, state.get(key), before.get(key), [call for slot in calls for call in slot], when)


def apply(state: State, call: Call) -> None:
    """Do a call on a dict."""
    for key, value in call.changes:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def _in_whole_or_not(state: State, expected: State, call: Call, when: str) -> None:
    """Take over a call that was under way into what is expected, if it has happened."""
    keys = {key for key, _ in call.changes}
    after = dict(expected)
    apply(after, call)
    found = {key: state.get(key) for key in keys}
    stages = [{key: one.get(key) for key in keys} for one in (expected, after)]
    if call.what == "writer":  # it commits now and then: any of its steps may be the last
        step = dict(expected)
        for key, value in call.changes:
            apply(step, Call("", [(key, value)], 0.0))
            stages.append({key: step.get(key) for key in keys})
    if found not in stages:
        raise Fault(f"a call that was killed has happened in part, {when}\n{call}\n{found}\n{stages}")
    for key, value in found.items():
        apply(expected, Call("", [(key, value)], 0.0))


def _linear(key: str, found: int | None, before: int | None, calls: list[Call], when: str) -> None:
    """Check a key that all write: no later call was acknowledged after the one whose result is there."""
    mine = [call for call in calls if call.changes[0][0] == key and call.outcome != "refused"]
    latest = max((call.began for call in mine if call.ended is not None), default=None)
    candidates = [before] if latest is None else []
    candidates += [
        call.changes[0][1] for call in mine if call.ended is None or latest is None or call.ended >= latest
    ]
    if found not in candidates:
        raise Fault(f"a key that all write has not its last value, {when}\n{key}: {found}, not {candidates}")


def finished(home: Path, state: State) -> int:
    """Check a whole collection at the end: its files, and every search against brute force."""
    import retrieval

    with retrieval.open(home) as collection:
        bad = [check for check in collection.verify() if not check.ok]
        if bad:
            raise Fault(f"files do not verify after writers\n{bad}")
        keys = sorted(state)
        rows = vectors([(key, state[key]) for key in keys])  # (n, d)
        queries = np.concatenate([rows, np.random.default_rng(0).standard_normal((50, DIM))])
        queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
        ids, scores = collection.search_vectors(queries, k=5, exact=True)
        true = -np.sort(-(queries @ rows.T), axis=1)[:, :5]  # (q, 5)
        if np.abs(scores[:, : true.shape[1]] - true).max() > world.CLOSE:
            raise Fault("an exact search after writers differs from brute force")
        found = [collection.key_of(number) for number in ids[: len(keys), 0]]
        if found != keys:
            wrong = [pair for pair in zip(keys, found, strict=True) if pair[0] != pair[1]]
            raise Fault(f"rows do not find themselves after writers\n{wrong[:10]}")
        for value in sorted(set(state.values()))[-3:]:
            kept = collection.mask(where=f"value = {value}") if collection.manifest.columns else []
            own = [key for key in keys if state[key] == value and key not in BASE_KEYS]
            if sorted(map(collection.key_of, np.flatnonzero(kept).tolist())) != own:
                raise Fault(f"a condition over columns finds other rows than a dict\n{value}")
        count = int(collection.manifest.count)
    if more := [str(path) for path in home.rglob("*") if ".partial" in path.name]:
        raise Fault(f"something is left after writers\n{more}")
    return count

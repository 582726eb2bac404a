"""The writer that `test_killed_writers` kills: it adds, replaces and deletes rows by hand, and keeps a journal.

Run as a program it serves writers (`tests.killing`): the words are a folder, the writer's name, a seed, and a call of the
system with its number, to be killed at. A writer says in its journal what it is about to do, and afterwards that it was done; the next one
finds out what became of the last words.
"""

from __future__ import annotations

import json
import os
import random
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from indexes.derivation import recent_publish, recent_segments
from indexes.engine.backend import faiss
from tests.indexes.crash_build import kill_at
from tests.killing import serve

DIM = 16
TAIL, DELETED = 12, 6
"""Rows and deletions that may wait beside a generation, so few that every other call makes a new one."""

State = dict[str, int]
"""The seed of the vector that each key has."""


def vectors_of(seeds: list[int]) -> np.ndarray:
    """Return the vectors of seeds, ``(n, DIM)``."""
    rows = [np.random.default_rng(seed).standard_normal(DIM).astype(np.float32) for seed in seeds]
    return np.array(rows, np.float32).reshape(-1, DIM)


def changed(state: State, change: dict[str, Any]) -> State:
    """Return what a state becomes by a change that is done whole."""
    if change["call"] == "delete":
        return {key: seed for key, seed in state.items() if key not in change["keys"]}
    return state | dict(zip(change["keys"], change["seeds"], strict=True))


def read_journal(path: Path) -> tuple[State, dict[str, Any] | None]:
    """Return what was done for certain, and what was begun after that, if a writer was killed."""
    state: State = {}
    begun = None
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        if "call" in entry:
            begun = entry
        else:
            state = changed(state, begun) if entry["done"] and begun is not None else state
            begun = None
    return state, begun


def shows(collection: retrieval.Collection, name: str, state: State) -> bool:
    """Say whether a collection shows these rows of a writer, and no others of it."""
    keys = [key for key in collection if key.startswith(f"{name}/")]
    if sorted(keys) != sorted(state):
        return False
    rows, expected = collection.vectors(keys), vectors_of([state[key] for key in keys])
    cosines = np.einsum("nd,nd->n", rows, expected) / np.linalg.norm(expected, axis=1)
    return bool((cosines > 0.999).all())


def settle(collection: retrieval.Collection, name: str, journal: Path) -> State:
    """Find out whether what a killed writer had begun was done; note it, and return the state."""
    state, begun = read_journal(journal)
    if begun is None:
        return state
    with collection.writer():
        pass  # publishes what was committed
    after = changed(state, begun)
    done = shows(collection, name, after)
    if not done and not shows(collection, name, state):
        raise AssertionError(f"half done: {begun}")
    _note(journal, {"done": done})
    return after if done else state


def _note(journal: Path, entry: dict[str, Any]) -> None:
    file = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(file, json.dumps(entry).encode() + b"\n")
    os.close(file)


def work(home: str, name: str, seed: str, call: str, number: str) -> None:
    """Write until the process is killed, at a call of the system that changes something."""
    kill_at(call, int(number))
    recent_segments.TAIL_ROWS = recent_segments.SEGMENT_ROWS = recent_publish.TAIL_ROWS = TAIL
    recent_publish.MOST_DELETED = DELETED
    rng = random.Random(int(seed))
    journal = Path(home) / f"{name}.journal"
    with retrieval.open(home) as collection:
        state = settle(collection, name, journal)
        while True:
            change = _drawn(rng, name, state)
            _note(journal, change)
            if change["call"] == "delete":
                collection.delete(change["keys"])
            else:
                getattr(collection, change["call"])(vectors_of(change["seeds"]), change["keys"])
            _note(journal, {"done": True})
            state = changed(state, change)
            assert shows(collection, name, state)


def _drawn(rng: random.Random, name: str, state: State) -> dict[str, Any]:
    call = rng.choice(["add", "upsert", "delete"])
    names = {f"{name}/{number}" for number in range(40)}
    among = names if call == "upsert" else names & set(state) if call == "delete" else names - set(state)
    keys = rng.sample(sorted(among), min(len(among), rng.randint(1, 4)))
    if not keys:
        return {"call": "upsert", "keys": [f"{name}/0"], "seeds": [rng.randrange(10**9)]}
    return {"call": call, "keys": keys, "seeds": [rng.randrange(10**9) for _ in keys]}


if __name__ == "__main__":
    faiss()  # whatever a writer needs is loaded before the fork: it is killed within a second
    for room in ("derivation.derivation", "derivation.recent_publish", "search.generation", "store.store"):
        import_module(f"indexes.{room}")
    import_module("retrieval.collection.rows.by_hand.row_writer")
    serve(work)

"""The build that `test_crash` kills: a collection brought to its full size, without images.

Run as a program it serves builds (`tests.killing`): the words are a folder, and a call and its number to be killed at.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from indexes.generation import read_pinned
from indexes.generation.manifest import Exact, Manifest, new_generation_dir, publish
from indexes.store.lmdb import environment
from indexes.store.store import NewRow, VectorStore
from indexes.store.tables import digest_runs
from indexes.vectors.space import Space
from tests.killing import serve

DIM = 16
ROUNDS = 12
ROWS = 40
PUBLISH_EVERY = 3

digest_runs.FROM_ROWS = 5 * ROWS  # so that builds go over from trees to runs in their middle


@cache
def rows_of(number: int) -> np.ndarray:
    """Return the rows of round ``number``, whoever wrote them: ``(ROWS, DIM)`` float32 unit rows."""
    drawn = np.random.default_rng(number).standard_normal((ROWS, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def build(home: Path) -> None:
    """Bring the collection to its full size, from wherever it is: what a build does, without images.

    Each round appends rows and removes, renames or supersedes earlier ones; every third one is published.
    """
    if VectorStore.exists(home):
        store = VectorStore.open(home, dim=DIM, writable=True)
    else:
        store = VectorStore.create(home, dim=DIM)
    with store:
        for number in range(store.count // ROWS, ROUNDS):
            first = number * ROWS
            names = [b"%d" % (first + place) for place in range(ROWS)]
            if number:
                names[0] = b"%d" % (first - 1)  # supersedes the last row of the round before
                store.remove([first - 2])
                store.rename(first - 3, b"renamed %d" % (first - 3), b"stamp")
            store.append(rows_of(number), [NewRow(key=name, content=name.rjust(16)) for name in names])
            store.commit()
            if number % PUBLISH_EVERY == 0:
                put_out(home, store, store.count)
        put_out(home, store, store.count)


def put_out(home: Path, store: VectorStore, count: int) -> None:
    try:
        before, pin = read_pinned(home)
        pin.close()
        number = before.generation + 1
    except FileNotFoundError:
        number = 1
    prepared = new_generation_dir(home, number)
    (prepared / "rows.txt").write_text(str(count))
    np.save(prepared / "gone.npy", store.tombstones())
    index = Exact(dim=DIM, base_rows=count, recall_target=0.95)
    space = Space(name="toy", dim=DIM, fingerprint="f")
    publish(
        home, Manifest(space=space, count=count, live=store.live, generation=number, index=index), prepared
    )


def kill_at(call: str, number: int) -> None:
    """Kill this process at the ``number``-th call, counted from 1, of a system call that changes something.

    ``pwrite`` writes half of its bytes first; ``commit`` is LMDB's, before and after it.
    """
    seen = [0]

    def counted(
        real: Callable[..., Any], *, before: Callable[..., object] | None = None
    ) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            seen[0] += 1
            if seen[0] == number:
                if before is not None:
                    before(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return wrapped

    if call == "commit":
        real = environment.Environment.write

        def write(self: Any, apply: Any, *, room: int) -> Any:
            def last(txn: Any, databases: Any) -> Any:
                result = apply(txn, databases)
                counted(lambda: None)()  # everything is put, nothing committed
                return result

            result = real(self, last, room=room)
            counted(lambda: None)()  # committed, and nothing else done
            return result

        environment.Environment.write = write
    else:
        function = getattr(os, call)
        half = (
            (lambda file, data, at: function(file, data[: len(data) // 2], at)) if call == "pwrite" else None
        )
        setattr(os, call, counted(function, before=half))


def work(home: str, call: str = "", number: str = "0") -> None:
    """Build, killed at a call if one is named."""
    if call:
        kill_at(call, int(number))
    build(Path(home))


if __name__ == "__main__":
    serve(work)

"""Two processes that write by hand and are killed at calls of the system, and a reader beside them: nothing is lost or half done."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest

import retrieval
from tests.killing import Server
from tests.retrieval.collection.rows.hand_writer import DIM, read_journal, settle, shows, vectors_of

NAMES = ("one", "other")
CALLS = ("fsync", "replace", "pwrite", "commit", "ftruncate")


def killed_writers(home: Path, name: str, seed: int, rounds: int, faults: list[str]) -> None:
    """Let one writer after the other begin, each killed at some call of the system."""
    draw = random.Random(seed)
    writers = Server("tests.retrieval.collection.rows.hand_writer")
    try:
        for number in range(rounds):
            assert writers.run(home, name, seed * 1000 + number, draw.choice(CALLS), draw.randint(1, 20))
    except BaseException as error:  # noqa: BLE001 - reported by the test
        faults.append(f"{name}: {error!r}")
    finally:
        writers.close()


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        ("flat", 6),
        ("IVF4,SQ8", 6),
        *(pytest.param(kind, 60, marks=pytest.mark.slow) for kind in ("flat", "IVF4,SQ8")),
    ],
)
def test_nothing_is_lost_or_half_done(tmp_path: Path, kind: str, rounds: int) -> None:
    home = tmp_path / "rows"
    first = vectors_of(list(range(400)))
    retrieval.sync_vectors(home, first, [f"first/{number}" for number in range(400)], space="made", kind=kind)
    faults: list[str] = []
    threads = [
        threading.Thread(target=killed_writers, args=(home, name, seed, rounds, faults))
        for seed, name in enumerate(NAMES)
    ]
    for thread in threads:
        thread.start()
    versions = set()
    with retrieval.open(home) as reader:
        while any(thread.is_alive() for thread in threads):
            reader.refresh()
            versions.add(reader.manifest.version)
            found = reader.search_vectors(first[:8], k=2)
            assert found.ids[:, 0].tolist() == list(range(8))
            assert (found.scores[:, 0] > 0.999).all()
    for thread in threads:
        thread.join()

    assert faults == []
    generations = {generation for generation, _ in versions}
    assert len(versions) > len(generations) > 1  # both ways of publishing were cut
    with retrieval.open(home) as collection:
        for name in NAMES:
            state = settle(collection, name, home / f"{name}.journal")
            assert shows(collection, name, state)
            assert read_journal(home / f"{name}.journal") == (state, None)
        assert [check for check in collection.verify() if not check.ok] == []
        rows = collection.vectors([f"first/{number}" for number in range(400)])
        expected = first / np.linalg.norm(first, axis=1, keepdims=True)
        np.testing.assert_allclose(rows, expected, atol=1e-3)
        assert collection.space.dim == DIM

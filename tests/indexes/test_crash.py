"""A process killed at any moment leaves a collection that opens with what was published last, and goes on from there."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from indexes.generation import check_sizes, generation_path, read_pinned, verify
from indexes.layout import MANIFEST
from indexes.store.mirror import RerankRows
from indexes.store.store import VectorStore
from tests.indexes.crash_build import DIM, ROUNDS, ROWS, build, rows_of
from tests.killing import Server


def expected_live(count: int) -> dict[bytes, int]:
    """Return the live keys and ids of a store of ``count`` rows, told without a store."""
    live: dict[bytes, int] = {}
    for number in range(count // ROWS):
        first = number * ROWS
        names = [b"%d" % (first + place) for place in range(ROWS)]
        if number:
            names[0] = b"%d" % (first - 1)
            del live[b"%d" % (first - 2)]
            live[b"renamed %d" % (first - 3)] = live.pop(b"%d" % (first - 3))
        live.update({name: first + place for place, name in enumerate(names)})
    return live


def expected_rows(count: int) -> np.ndarray:
    """Return the rows ``(count, DIM)`` float16 that a store of so many must hold."""
    rounds = [rows_of(number) for number in range(count // ROWS)]
    return np.concatenate([np.empty((0, DIM), np.float32), *rounds]).astype(np.float16)


def check(home: Path) -> int:
    """Make sure that a reader is served whole rounds and a whole generation; return the rows published."""
    published = 0
    if (home / MANIFEST).exists():
        manifest, pin = read_pinned(home)
        with pin:
            published = manifest.count
            check_sizes(home, manifest)
            assert (pin.path / "rows.txt").read_text() == str(published)
            gone = np.load(pin.path / "gone.npy", allow_pickle=False)
            assert (~gone).sum() == len(expected_live(published)) == manifest.live
            mapped = RerankRows.open(home / "rerank.f16", dim=DIM, count=published)
            np.testing.assert_array_equal(mapped.rows, expected_rows(published))
    if VectorStore.exists(home):
        with VectorStore.open(home, dim=DIM) as store:
            assert store.count % ROWS == 0
            assert store.count >= published
            if store.count:  # the rerank file is written first: no committed row is ever missing from it
                RerankRows.open(home / "rerank.f16", dim=DIM, count=store.count)
            live = expected_live(store.count)
            assert {record.key: record.id for record in store.scan()} == live
            assert all(store.find(key) == number for key, number in live.items())
            np.testing.assert_array_equal(store.rows(0, store.count), expected_rows(store.count))
    return published


def check_complete(home: Path) -> None:
    assert check(home) == ROUNDS * ROWS
    assert [found for found in verify(home) if not found.ok] == []
    manifest, pin = read_pinned(home)
    pin.close()
    assert [path.name for path in (home / "generations").iterdir()] == [f"{manifest.generation:04d}"]
    assert sorted(path.name for path in home.iterdir()) == [
        "generations",
        MANIFEST,
        "rerank.f16",
        "vectors.lmdb",
    ]
    assert generation_path(home, manifest.generation).is_dir()
    assert (home / "rerank.f16").stat().st_size == ROUNDS * ROWS * DIM * 2


@pytest.fixture(scope="module")
def builds():
    builds = Server("tests.indexes.crash_build")
    yield builds
    builds.close()


POINTS = {
    "fsync": 20,
    "pwrite": 6,
    "rename": 5,
    "replace": 4,
    "ftruncate": 5,
    "truncate": 8,
    "mkdir": 4,
    "commit": 12,
}


@pytest.mark.parametrize(("call", "points"), POINTS.items())
def test_killed_at_a_system_call(tmp_path, builds, call, points):
    """Kill one build after another, each at a later call of its own: together at least fifty different points."""
    home = tmp_path / "collection"
    shown = 0
    for number in range(1, points + 1):
        if not builds.run(home, call, number):
            home = tmp_path / f"collection {number}"  # that one was done before the call came: begin anew
            shown = 0
            assert builds.run(home, call, number)
        published = check(home)
        assert published >= shown  # never back to an older generation
        shown = published
    build(home)

    check_complete(home)


def test_killed_at_random_moments(tmp_path, builds):
    draw = random.Random(0)
    kills, number = 0, 0
    while kills < 20:
        home = tmp_path / str(number)
        number += 1
        shown = 0
        patience = 1.0  # grows, so that a build ends at last on a machine that others keep busy, too
        while builds.run(home, seconds=patience * draw.uniform(0.005, 0.12)):
            patience *= 1.1
            kills += 1
            published = check(home)
            assert published >= shown
            shown = published
        check_complete(home)


def test_an_undisturbed_build_is_the_same(tmp_path, builds):
    assert not builds.run(tmp_path / "collection")
    check_complete(tmp_path / "collection")
    assert not builds.run(tmp_path / "collection")  # nothing to do but to publish again
    check_complete(tmp_path / "collection")

"""A process killed at any moment of an upgrade leaves a collection that answers, and the same step goes on."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from tests.killing import Server
from tests.retrieval.drift import drift, scheme
from tests.retrieval.folders import fill, ids_by_key
from tests.retrieval.upgrades.killed_steps import FIRST, LATER

__all__ = ["scheme"]

pytestmark = pytest.mark.usefixtures("scheme")


@pytest.fixture(scope="module")
def steps():
    steps = Server("tests.retrieval.upgrades.killed_steps")
    yield steps
    steps.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    home = fill(tmp_path_factory.mktemp("built") / "photos", FIRST)
    retrieval.build_index(home, encoder=drift("old"))
    return home


def check(home: Path) -> str:
    """Make sure that the collection answers, truly and with every image that was there at first; return its state."""
    with retrieval.open(home) as collection:
        by_path = ids_by_key(collection)
        assert set(FIRST) <= set(by_path) <= {*FIRST, *LATER}
        for name in (FIRST[0], FIRST[31], FIRST[59]):
            (hit,) = collection.search(home / name, k=1, include_self=True)
            assert (hit.path, hit.id) == (name, by_path[name])
        manifest = collection.manifest
        last = dict(manifest.upgrades[-1]) if manifest.upgrades else {}
        state = str(last.get("state"))
        if state == "migrating":
            table = collection._opened.pair.mixture.rows_of
            done = [name for name, number in by_path.items() if table[number] >= 0]
            assert last["backfilled"] == len(done)
            assert last["remaining"] == len(by_path) - len(done)
            assert set(by_path) & set(LATER) <= set(done)
            compare(home, collection, {name: by_path[name] for name in done}, "new")
            raw = collection._opened.generation
            old = [name for name in by_path if name in FIRST]
            rows = raw.vectors(np.array([by_path[name] for name in old]))
            np.testing.assert_allclose(rows, encoded(home, old, "old"), atol=2e-3)
        else:
            compare(home, collection, by_path, "new" if state == "complete" else "old")
    return state


def compare(home, collection, by_path, encoder) -> None:
    if by_path:
        rows = collection.vectors(list(by_path.values()))
        np.testing.assert_allclose(rows, encoded(home, list(by_path), encoder), atol=2e-3)


def encoded(home, names, which) -> np.ndarray:
    encoder = drift(which)
    batch = [encoder.preprocess(Image.open(home / name).convert("RGB")) for name in names]
    return encoder.encode_pixels(np.stack(batch))


def leftovers(home: Path) -> set[str]:
    return {path.name for path in (home / ".retrieve").iterdir()}


USUAL = {"folders.tsv", "generations", "lock", "manifest.json", "past", "skipped.tsv"}
PATHS = {
    "finish": (("upgrade", "some", "build", "all", "drop"), "complete", {"spaces"}),
    "undo unfinished": (("upgrade", "some", "build", "back"), "rolled back", {"spaces"}),
    "undo finished": (("upgrade", "build", "all", "back"), "rolled back", {"spaces"}),
    "undo in place": (("upgrade", "all", "build", "back"), "rolled back", {"vectors.lmdb", "rerank.f16"}),
    "undo without new": (("upgrade", "some", "back"), "rolled back", {"vectors.lmdb", "rerank.f16"}),
}


@pytest.mark.parametrize(
    "name",
    [
        "finish",
        "undo unfinished",
        "undo in place",
        pytest.param("undo finished", marks=pytest.mark.slow),
        pytest.param("undo without new", marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments(built, tmp_path, steps, name):
    """Kill every step again and again, a little later each time, until it gets through."""
    path, state, stores = PATHS[name]
    draw = random.Random(name)
    home = Path(shutil.copytree(built, tmp_path / "photos"))
    kills = 0
    for step in path:
        seconds = draw.uniform(0.0, 0.05)
        while steps.run(home, step, seconds=seconds):
            kills += 1
            check(home)
            seconds = seconds * 1.4 + draw.uniform(0.0, 0.1)
    assert kills >= 5  # usual: 20
    assert check(home) == state
    retrieval.build_index(home)  # whoever writes next removes what a kill has left
    assert leftovers(home) == USUAL | stores
    if name != "undo without new":
        with retrieval.open(home) as collection:
            assert set(ids_by_key(collection)) == {*FIRST, *LATER}


def test_an_undisturbed_run_ends_the_same(built, tmp_path, steps):
    home = Path(shutil.copytree(built, tmp_path / "photos"))
    for step, state in (
        ("upgrade", "migrating"),
        ("some", "migrating"),
        ("build", "migrating"),
        ("all", "complete"),
    ):
        assert not steps.run(home, step)
        assert check(home) == state
    assert not steps.run(home, "back")
    assert check(home) == "rolled back"

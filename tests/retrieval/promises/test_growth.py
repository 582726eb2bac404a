"""Nothing in a collection's directory grows without bound, however often its commands are killed."""

from __future__ import annotations

import random
from pathlib import Path

import lmdb
import pytest

import retrieval
from indexes.store.lmdb.environment import TABLE
from tests.killing import Server
from tests.retrieval.drift import drift, scheme
from tests.retrieval.folders import fill, picture

__all__ = ["scheme"]

pytestmark = pytest.mark.usefixtures("scheme")

IMAGES = 60
FIXED = 512 << 10
"""Bytes that do not grow: pages that LMDB keeps for its next commits, the sample of an upgrade that was killed early."""

COMMANDS = ("build", "build", "build", "build", "upgrade", "backfill", "rollback")


@pytest.fixture(scope="module")
def commands():
    served = Server("tests.retrieval.promises.crash_rounds")
    yield served
    served.close()


def change(home: Path, draw: random.Random, turn: int) -> None:
    """Change an image, remove one, add one, rename one."""
    there = sorted(path for path in home.rglob("*.png") if ".retrieve" not in path.parts)
    one, two, three = draw.sample(there, 3)
    picture(10_000 + turn).save(one)
    two.unlink()
    picture(100_000 + turn).save(home / f"new {turn:04}.png")
    three.rename(home / f"moved {turn:04}.png")


def size(directory: Path) -> int:
    """Return the bytes that all files but LMDB's table of readers, whose size is fixed, take on the disk.

    A writer that is killed in a commit leaves its data file lengthened by a hole, which the next commit cuts off.
    """
    stats = [path.stat() for path in directory.rglob("*") if path.is_file() and path.name != TABLE]
    return sum(min(status.st_size, 512 * status.st_blocks) for status in stats)


def payload(home: Path, scratch: Path) -> int:
    """Return what the collection's directory must hold: every stored row, once, in a compact copy, and one generation.

    Rows that were removed are stored still: an id is a position.
    """
    directory = home / ".retrieve"
    with retrieval.open(home) as collection:
        manifest = collection.manifest
    before = [(entry.get("previous") or {}).get("store") for entry in manifest.upgrades[-1:]]
    kept = {manifest.store, *(place for place in before if place is not None)}
    total = sum(info.bytes for info in manifest.files.values()) + (directory / "manifest.json").stat().st_size
    for place in kept:
        with lmdb.open(
            str(directory / place / "vectors.lmdb"), max_dbs=8, lib_version=0, readonly=True
        ) as environment:
            scratch.mkdir(exist_ok=True)
            (scratch / "data.mdb").unlink(missing_ok=True)
            environment.copy(str(scratch), compact=True)
        total += (scratch / "data.mdb").stat().st_size + (directory / place / "rerank.f16").stat().st_size
    return total


@pytest.mark.parametrize("rounds", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_rounds_of_change_search_and_kill(tmp_path, commands, rounds):
    draw = random.Random(rounds)
    home = fill(tmp_path / "photos", [f"{number:03}.png" for number in range(IMAGES)])
    retrieval.build_index(home, encoder=drift("old"))
    kills, patience = 0, 0.4
    for turn in range(rounds):
        change(home, draw, turn)
        name = draw.choice(COMMANDS)
        killed = commands.run(home, name, seconds=draw.uniform(0.0, patience))
        kills += killed
        with retrieval.open(home) as collection:
            found = collection.search_vectors(collection.vectors([0]), k=3).ids
            assert found[0, 0] >= 0
        if turn % 20 == 19:
            assert not commands.run(home, "rollback")  # whatever was under way
            assert not commands.run(home, "build")
            held, needed = size(home / ".retrieve"), payload(home, tmp_path / "scratch")
            assert held <= 2 * needed + FIXED, f"round {turn}: {held:,} bytes for {needed:,}: {listing(home)}"
            left = [str(path) for path in (home / ".retrieve").rglob(".partial-*")]
            assert left == []
            assert len(list((home / ".retrieve" / "generations").iterdir())) <= 2
    assert kills >= rounds // 6  # usual: two thirds


def listing(home: Path) -> list[tuple[str, int]]:
    return [
        (str(path.relative_to(home)), path.stat().st_size)
        for path in sorted((home / ".retrieve").rglob("*"))
        if path.is_file()
    ]

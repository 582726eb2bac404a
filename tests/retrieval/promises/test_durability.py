"""A machine that crashes at any moment of any command leaves a collection that opens, and the same command goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
import retrieval.upgrades.backfilling.backfill_run
import retrieval.upgrades.rolling_back.restore
import retrieval.upgrades.trial.sample
from indexes.store import commit_pace
from retrieval.errors import CollectionNotFound, MissingRow
from tests.crashes import recorded
from tests.retrieval.drift import drift, mild_view, scheme
from tests.retrieval.folders import fill, ids_by_key

__all__ = ["scheme"]

pytestmark = pytest.mark.usefixtures("scheme")

FIRST = [f"{number:03}.png" for number in range(60)]
LATER = [f"later/{number:02}.png" for number in range(12)]
HAND = [f"hand/{number}" for number in range(4)]
SOME = 15


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Let everything be committed and published at once: more to cut."""
    monkeypatch.setattr(retrieval.upgrades.trial.sample, "view_of", mild_view)
    monkeypatch.setattr(commit_pace, "SECONDS", 0.0)
    monkeypatch.setattr(retrieval.upgrades.backfilling.backfill_run, "PUBLISH_SECONDS", 0.0)


def build(home: Path) -> None:
    retrieval.build_index(home, encoder="drift:old")


def grow(home: Path) -> None:
    retrieval.build_index(home)


def kind(home: Path) -> None:
    retrieval.build_index(home, kind="IVF4,SQ8")


def viewed(home: Path) -> None:
    retrieval.build_index(home, views=2)


def unviewed(home: Path) -> None:
    retrieval.build_index(home, views=0)


def state_of(home: Path) -> str:
    with retrieval.open(home) as collection:
        upgrades = collection.manifest.upgrades
        return str(upgrades[-1]["state"]) if upgrades else "none"


def start(home: Path) -> None:
    if state_of(home) != "migrating":
        retrieval.upgrade(home, encoder="drift:new", sample=50, method="ridge", force=True)


def some(home: Path) -> None:
    with retrieval.open(home) as collection:
        done = collection.manifest.upgrades[-1]["backfilled"]
    if done < SOME:
        retrieval.backfill(home, count=SOME - done)


def rest(home: Path) -> None:
    if state_of(home) == "migrating":
        retrieval.backfill(home)


def back(home: Path) -> None:
    if state_of(home) != "rolled back":
        retrieval.rollback(home)


def drop(home: Path) -> None:
    with retrieval.open(home) as collection:
        kept = collection.manifest.upgrades[-1].get("previous")
    if kept:
        retrieval.finish_upgrade(home)


def change(home: Path) -> None:
    """Change a folder as people do: images come, go, change their names and their contents."""
    fill(home, LATER, first=1000)
    (home / FIRST[5]).unlink()
    (home / FIRST[6]).rename(home / "moved.png")
    fill(home, [FIRST[7]], first=2000)


def by_hand(home: Path) -> None:
    """Add, replace and delete rows by hand; a second time nothing is left to do."""
    dim = drift("old").space.dim
    rows = np.eye(dim, dtype=np.float32)
    with retrieval.open(home) as collection, collection.writer() as writer:
        writer.upsert(rows[: len(HAND)], HAND)
        with suppress(MissingRow):  # deleted before the crash, and not published yet
            writer.delete(keys=["hand/gone"])


def some_by_hand(home: Path) -> None:
    with retrieval.open(home) as collection:
        collection.add(-np.eye(drift("old").space.dim, dtype=np.float32)[:2], ["hand/0", "hand/gone"])


def nothing(_home: Path) -> None:
    """Change nothing."""


Step = Callable[[Path], None]

COMMANDS: dict[str, tuple[list[Step], Step, Step]] = {
    "first build": ([], nothing, build),
    "incremental build": ([build], change, grow),
    "rows by hand": ([build, some_by_hand], nothing, by_hand),
    "kind change": ([build], nothing, kind),
    "views": ([build], nothing, viewed),
    "incremental build with views": ([build, viewed], change, grow),
    "no views": ([build, viewed], nothing, unviewed),
    "upgrade start": ([build], nothing, start),
    "backfill": ([build, start], nothing, some),
    "build during an upgrade": ([build, start, some], change, grow),
    "finish": ([build, start, some], nothing, rest),
    "rollback": ([build, start, rest], nothing, back),
    "rollback of an unfinished one": ([build, start, some], nothing, back),
    "drop": ([build, start, rest], nothing, drop),
}


def rows_of(collection: retrieval.Collection) -> tuple[dict[str, int], np.ndarray]:
    by_path = ids_by_key(collection)
    return by_path, collection.vectors(list(by_path.values()))


def check(home: Path, allowed: set[str]) -> None:
    """Make sure that what is there opens, finds every image by itself, and gives the vectors of one of its encoders."""
    with retrieval.open(home) as collection:
        by_path, rows = rows_of(collection)
        manifest = collection.manifest
        state = str(manifest.upgrades[-1]["state"]) if manifest.upgrades else "none"
        assert set(by_path) <= allowed
        for path, row in list(zip(by_path, rows, strict=True))[::7]:
            found = collection.search_vectors(row, k=3)
            assert by_path[path] in found.ids[0].tolist()
            if state != "migrating":
                assert by_path[path] in [hit.id for hit in collection.search(row, k=3)]  # of views, too
        if state != "migrating" and by_path:
            encoder = drift("new" if state == "complete" else "old")
            names = [name for name in list(by_path)[::5] if name not in (FIRST[7], "moved.png")]
            batch = np.stack(
                [
                    encoder.preprocess(Image.open(home / name).convert("RGB"))
                    for name in names
                    if (home / name).exists()
                ]
            )
            kept = [by_path[name] for name in names if (home / name).exists()]
            np.testing.assert_allclose(collection.vectors(kept), encoder.encode_pixels(batch), atol=2e-3)


QUICK = ("first build", "rows by hand", "incremental build", "rollback of an unfinished one")


@pytest.mark.parametrize(
    "command", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]
)
def test_a_crash_after_any_operation(tmp_path, command):
    """At 460ecca a finished first build is lost whole, and the start and the finish of an upgrade leave what does not open."""
    before, edit, step = COMMANDS[command]
    home = fill(tmp_path / "photos", FIRST)
    for earlier in before:
        earlier(home)
    edit(home)
    known = {*FIRST, *LATER, "moved.png", *HAND, "hand/gone"}

    with recorded(home) as disk:
        step(home)
    with retrieval.open(home) as collection:
        expected = set(ids_by_key(collection))
        ended = collection.manifest.upgrades[-1]["state"] if collection.manifest.upgrades else "none"
    assert len(disk.cuts) >= (8 if step is by_hand else 15)  # usual: 30 to 250, and 12 of rows by hand

    for number, cut in enumerate(disk.cuts):
        for variant, names in enumerate(("durable", "present", "fewest")):
            left = cut.write(tmp_path / "left", disk.root, names=names)
            try:
                check(left, known)
            except CollectionNotFound:
                assert not before, f"after {cut.after}: the collection is gone"
            except BaseException as error:
                raise AssertionError(f"{names} names, cut {number} after {cut.after}: {error}") from error
            if number == len(disk.cuts) - 1:  # the command has ended: all that it did is there
                with retrieval.open(left) as collection:
                    assert set(ids_by_key(collection)) == expected
            if (number + 4 * variant) % 12 == 0 or number >= len(disk.cuts) - 2:
                try:
                    step(left)
                    check(left, known)
                except BaseException as error:
                    raise AssertionError(
                        f"going on, {names} names, cut {number} after {cut.after}: {error}"
                    ) from error
                with retrieval.open(left) as collection:
                    assert set(ids_by_key(collection)) == expected
                    now = (
                        collection.manifest.upgrades[-1]["state"] if collection.manifest.upgrades else "none"
                    )
                    assert now == ended
                    assert [found for found in collection.verify() if not found.ok] == []
            shutil.rmtree(left)

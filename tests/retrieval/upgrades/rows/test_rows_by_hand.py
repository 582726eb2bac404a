"""Upgrades of collections with rows by hand: those with an image change with the others, those without stop it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import read_manifest
from retrieval.errors import OptionError
from tests.retrieval.drift import OLD, drift
from tests.retrieval.folders import picture
from tests.retrieval.upgrades.galleries import COUNT, state


def test_rows_without_an_image_stop_it_before_it_begins(photos: Path) -> None:
    with retrieval.open(photos) as collection:
        collection.add(np.eye(OLD)[:3], keys=["a", "b", "c"])
    before = read_manifest(photos / ".retrieve")

    with pytest.raises(OptionError, match=r"3 of 153 rows .*'a' is the first.*`delete`"):
        retrieval.upgrade(photos, encoder="drift:new")

    assert read_manifest(photos / ".retrieve") == before
    assert not retrieval.upgrade(photos, encoder="drift:new", dry_run=True).recorded
    with retrieval.open(photos) as collection:
        collection.delete(["a", "b", "c"])
    assert retrieval.upgrade(photos, encoder="drift:new").recorded


def test_rows_of_image_files_are_encoded_again(photos: Path, tmp_path: Path) -> None:
    picture(990).save(tmp_path / "outside.png")
    with retrieval.open(photos) as collection:
        collection.add_images(tmp_path / "outside.png")

    retrieval.upgrade(photos, encoder="drift:new")
    report = retrieval.backfill(photos)

    assert report.complete
    manifest = read_manifest(photos / ".retrieve")
    assert (manifest.format, manifest.live, len(manifest.sources)) == (5, COUNT + 1, 2)
    with retrieval.open(photos) as collection:
        (hit,) = collection.search(picture(990), k=1)
        assert (hit.path, hit.score > 0.999) == (str(tmp_path / "outside.png"), True)
        assert collection.delete(str(tmp_path / "outside.png")) == 1
    assert retrieval.build_index(photos).images == COUNT


@pytest.mark.parametrize("call", ["add", "upsert", "delete", "add_images", "writer", "sync_vectors"])
def test_everything_is_refused_while_it_is_under_way(migrating: Path, call: str) -> None:
    before = state(migrating)
    arguments = {
        "add": (np.eye(OLD)[:1], ["a"]),
        "upsert": (np.eye(OLD)[:1], ["a"]),
        "sync_vectors": (np.eye(OLD)[:1], ["a"]),
        "delete": ("a",),
        "add_images": (picture(1),),
        "writer": (),
    }[call]

    def work(collection: retrieval.Collection) -> None:
        result = getattr(collection, call)(*arguments)
        if call == "writer":
            with result:
                pass

    refused = r"an upgrade from .* is under way .*`backfill`.*`rollback`"
    with retrieval.open(migrating) as collection, pytest.raises(OptionError, match=refused):
        work(collection)

    assert state(migrating) == before


def test_a_rollback_says_which_rows_were_added_by_hand(migrating: Path) -> None:
    retrieval.backfill(migrating)
    with retrieval.open(migrating) as collection:
        collection.add(np.eye(collection.space.dim)[:2], keys=["a", "b"])

    with pytest.raises(
        OptionError, match=r"2 of the 2 images.*`without_new=True`; 2 of them were added by hand"
    ):
        retrieval.rollback(migrating)

    with retrieval.open(migrating) as collection:
        assert len(collection) == COUNT + 2
    report = retrieval.rollback(migrating, without_new=True)
    assert (report.images, report.pending) == (COUNT, 2)
    with retrieval.open(migrating) as collection:
        assert collection.space.same_as(drift("old").space)
        collection.add(np.eye(OLD)[:1], keys=["a"])
        assert len(collection) == COUNT + 1
    shutil.rmtree(migrating / "0")
    assert retrieval.build_index(migrating).images == COUNT - 50 + 1

"""A file is damaged in the middle of an upgrade: whoever does what `verify` says keeps every row that was encoded."""

from __future__ import annotations

import shutil

import pytest

import retrieval
from indexes.generation import generation_path, kept_files, read_manifest, verify
from indexes.generation.description import returnable
from retrieval.errors import StoreCorrupt
from retrieval.upgrades.trial import past_samples
from tests.retrieval.drift import drift
from tests.retrieval.folders import fill, picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, check_all_new, generation

MAPS = ("upgrade.npz", "background.npz")
"""What was fitted on a sample, and cannot be made again without it."""


def kept_generation(home):
    directory = home / ".retrieve"
    (earlier,) = returnable(read_manifest(directory))
    return generation_path(directory, earlier.generation)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x04
    path.write_bytes(data)


def cures(home):
    return {check.path: check.cure for check in verify(home / ".retrieve") if not check.ok}


def follow(home):
    """Do what `verify` says, to the letter."""
    said = cures(home)
    for path, cure in said.items():
        if "delete this one file and" in cure:
            (home / ".retrieve" / path).unlink()
    assert all("run `build_index` on the folder" in cure for cure in said.values())
    return retrieval.build_index(home)


def test_one_flipped_bit_costs_no_row(migrating):
    retrieval.backfill(migrating, count=COUNT - 10)
    fill(migrating, ["new/a.png"], first=1000)
    retrieval.build_index(migrating)
    flip(generation(migrating) / "report.json")
    assert follow(migrating).encoded == 0

    assert cures(migrating) == {}
    with retrieval.open(migrating) as collection:
        upgrade = collection.info()["upgrade"]
        assert collection.search(picture(1000), k=1)[0].path == "new/a.png"
    assert (upgrade["state"], upgrade["backfilled"], upgrade["remaining"]) == ("migrating", COUNT - 9, 10)
    assert retrieval.backfill(migrating).complete
    assert "new/a.png" in check_all_new(migrating)


def test_all_but_the_maps_may_be_damaged(photos):
    retrieval.build_index(photos, encoder=drift("old"), kind="IVF4,SQ8")
    retrieval.upgrade(photos, encoder="drift:new", method="ridge", force=True)
    retrieval.backfill(photos, count=60)
    fill(photos, ["new/a.png"], first=1000)
    retrieval.build_index(photos)
    names = {path.name for path in generation(photos).iterdir()} - {*MAPS, "pin"}
    assert {"index.faiss", "keys.bin", "rows_of.npy", "added.npy", "tombstones.npy", "report.json"} <= names
    for name in names:
        flip(generation(photos) / name)
    assert {path.rpartition("/")[2] for path in cures(photos)} == names
    follow(photos)

    assert cures(photos) == {}
    with retrieval.open(photos) as collection:
        upgrade = collection.info()["upgrade"]
    assert (upgrade["backfilled"], upgrade["remaining"]) == (61, COUNT - 60)
    assert retrieval.rollback(photos).encoded == 1  # what was added since is still known
    check_all_new(photos, "old")


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("harm", [flip, lambda path: path.unlink(), lambda path: shutil.rmtree(path.parent)])
def test_without_its_maps_an_upgrade_can_only_be_given_up(migrating, harm, name):
    retrieval.backfill(migrating, count=60)
    harm(generation(migrating) / name)
    (cure,) = cures(migrating).values()

    assert "restore it from a backup, or give the upgrade up with `rollback`" in cure
    assert "build_index" not in cure
    for act in (retrieval.open, retrieval.build_index):
        with pytest.raises(StoreCorrupt, match="`rollback`"):
            act(migrating)
    retrieval.rollback(migrating)
    assert set(check_all_new(migrating, "old")) == set(NAMES)


def test_the_index_kept_for_a_rollback_is_checked_too(photos):
    retrieval.build_index(photos, encoder=drift("old"), kind="IVF4,SQ8")
    retrieval.upgrade(photos, encoder="drift:new", method="ridge", force=True)
    retrieval.backfill(photos)
    kept = kept_generation(photos)
    assert cures(photos) == {}
    flip(kept / "index.faiss")
    ((path, cure),) = cures(photos).items()
    assert "`rollback`, which alone needs it" in cure
    (photos / ".retrieve" / path).unlink()
    retrieval.rollback(photos)

    assert cures(photos) == {}
    check_all_new(photos, "old")


def test_a_damaged_index_is_not_taken_back_but_made_anew(photos):
    retrieval.build_index(photos, encoder=drift("old"), kind="IVF4,SQ8")
    retrieval.upgrade(photos, encoder="drift:new", method="ridge", force=True)
    retrieval.backfill(photos)
    kept = kept_generation(photos)
    flip(kept / "index.faiss")
    retrieval.rollback(photos)

    assert cures(photos) == {}
    check_all_new(photos, "old")


def test_every_damage_to_the_kept_sample_is_found_and_costs_a_comparison_alone(migrating):
    (kept,) = (migrating / ".retrieve" / "past").iterdir()
    space = read_manifest(migrating / ".retrieve").space
    whole = kept.read_bytes()
    known = kept_files(read_manifest(migrating / ".retrieve"))[f"past/{kept.name}"]
    assert past_samples._kept(migrating / ".retrieve", space, known) is not None

    for place in range(0, len(whole), len(whole) // 9):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert list(cures(migrating)) == [f"past/{kept.name}"]
        assert past_samples._kept(migrating / ".retrieve", space, known) is None
        past_samples._kept(migrating / ".retrieve", space, None)  # of an earlier version: no hash is known

    kept.unlink()
    assert cures(migrating) == {}
    assert retrieval.backfill(migrating).complete

"""A source becomes a sharded collection: whole, incremental, resumable."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest

import retrieval
from indexes.generation import read_shards
from retrieval.errors import OptionError, PruneRefused, StoreCorrupt
from retrieval.ingestion.sharded import jobs
from retrieval.sources.folders import folder_walk
from tests.retrieval.folders import CountingEncoder, fill

NAMES = [f"{folder}/{number}.png" for folder in "abcd" for number in range(3)]


@pytest.fixture
def root(tmp_path):
    return fill(tmp_path / "photos", NAMES)


def build(root, **options):
    options = {"index": root.parent / "big", "encoder": CountingEncoder(), "progress": False} | options
    return retrieval.build_index(*([root] if options.pop("named", True) else []), **options)


def test_a_build_encodes_each_image_once_and_again_only_what_changed(root):
    report = build(root, shards=2)

    assert (report.images, report.encoded, report.removed) == (12, 12, 0)
    first = read_shards(root.parent / "big")
    again = build(root)
    assert (again.images, again.encoded, again.reused) == (12, 0, 0)
    assert read_shards(root.parent / "big") == first
    (root / "a/0.png").unlink()
    fill(root, ["b/new.png", "e/0.png"], first=400)
    third = build(root, named=False)
    assert (third.images, third.encoded, third.removed) == (13, 2, 1)
    assert read_shards(root.parent / "big").generation == 2


def test_an_image_that_moves_to_another_shard_keeps_its_vector(root):
    build(root, shards=2)
    homes = {
        unit: shard.number for shard in read_shards(root.parent / "big").shards for unit, _ in shard.units
    }
    first = next(unit for unit in "abcd" if homes[unit] == 0)
    last = next(unit for unit in "abcd" if homes[unit] == 1)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as before:
        moved, back, copied = before.vectors([f"{first}/0.png", f"{last}/0.png", f"{last}/1.png"])
    (root / first / "0.png").rename(root / last / "moved.png")
    (root / last / "0.png").rename(root / first / "back.png")
    shutil.copy(root / last / "1.png", root / first / "copy.png")

    report = build(root)

    assert (report.images, report.encoded, report.removed) == (13, 0, 2)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as after:
        found = after.vectors([f"{last}/moved.png", f"{first}/back.png", f"{first}/copy.png"])
    np.testing.assert_array_equal(found, [moved, back, copied])
    assert build(root).encoded == 0


def test_most_images_of_a_shard_may_move_or_go_where_most_of_the_whole_stay(root):
    fill(root, [f"{folder}/{number}.png" for folder in "abcd" for number in range(3, 12)], first=500)
    build(root, shards=2)
    homes = {
        unit: shard.number for shard in read_shards(root.parent / "big").shards for unit, _ in shard.units
    }
    first, second = (unit for unit in "abcd" if homes[unit] == 0)
    last = next(unit for unit in "abcd" if homes[unit] == 1)
    for path in [*(root / first).iterdir(), *(root / second).iterdir()]:
        path.rename(root / last / f"{path.parent.name}-{path.name}")

    report = build(root)

    assert (report.images, report.encoded, report.removed) == (48, 0, 24)
    for path in (root / last).iterdir():
        path.unlink()
    with pytest.raises(PruneRefused, match="36 of 48 images are gone"):
        build(root)
    assert build(root, prune=True).images == 12


@pytest.mark.parametrize("shards", [2, 4])
def test_other_images_of_the_same_number_do_not_replace_most_rows_unasked(root, shards):
    fill(root, [f"{folder}/{number}.png" for folder in "abcd" for number in range(3, 12)], first=500)
    build(root, shards=shards)
    shutil.rmtree(root)
    fill(root, [f"{folder}/other{number}.png" for folder in "abcd" for number in range(12)], first=900)

    with pytest.raises(PruneRefused, match="48 of 48 images are gone"):
        build(root)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as kept:
        assert len(kept) == 48
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(PruneRefused, match="holds no images any more, but its collection has 48 rows"):
        build(root)
    fill(root, [f"{folder}/other{number}.png" for folder in "abcd" for number in range(12)], first=900)
    assert build(root, prune=True).removed == 48


def test_small_shards_do_not_lose_all_their_rows_unasked(root):
    fill(root, [f"{folder}/{number}.png" for folder in "abcd" for number in range(3, 8)], first=500)
    build(root, shards=4)
    shutil.rmtree(root)
    fill(root, [f"{folder}/other{number}.png" for folder in "abcd" for number in range(8)], first=900)

    with pytest.raises(PruneRefused):
        build(root)


def test_a_shard_lists_its_own_units_only(root, monkeypatch):
    looked = []
    real = folder_walk._enter
    monkeypatch.setattr(
        folder_walk, "_enter", lambda entry, key, **options: looked.append(key) or real(entry, key, **options)
    )

    build(root, shards=2)

    assert sorted(looked) == sorted([b"a", b"b", b"c", b"d"] * 2)  # once for all, and each by its shard


def test_it_is_told_whether_images_came_to_any_shard(root):
    build(root, shards=2)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as sharded:
        assert not sharded.changed()
    for folder in ("a", "b", "c", "d", "e"):
        fill(root, [f"{folder}/new.png"], first=900 + ord(folder))
        with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as sharded:
            assert sharded.changed()
        build(root)


def test_what_nobody_holds_is_skipped_once(root):
    (root / "x").mkdir()
    (root / "x/drawing.psd").write_bytes(b"8BPS")

    report = build(root, shards=2)

    assert report.skipped_by_reason == {"unsupported-format": 1}


def test_units_stay_where_they_are(root):
    build(root, shards=2)
    before = {key: shard.name for shard in read_shards(root.parent / "big").shards for key, _ in shard.units}
    fill(root, [f"{name}/0.png" for name in ("aa", "ca", "zz")], first=600)

    build(root)

    shards = read_shards(root.parent / "big").shards
    after = {key: shard.name for shard in shards for key, _ in shard.units}
    assert {key: after[key] for key in before} == before
    assert {after[key] for key in ("aa", "ca", "zz")} == {"shard-00001"}


def test_another_shard_begins_when_the_last_is_full(root):
    build(root, shards=2, shard_rows=7)
    fill(root, [f"e/{number}.png" for number in range(3)], first=700)

    report = build(root)

    assert report.images == 15
    assert [shard.manifest.live for shard in read_shards(root.parent / "big").shards] == [6, 6, 3]


@pytest.mark.parametrize("again", [{"shards": 2}, {}, {"named": False}], ids=str)
def test_a_build_that_dies_between_shards_goes_on(root, monkeypatch, again):
    real, done = jobs.build_one, []

    def dying(given, directory, **options):
        if done:
            raise KeyboardInterrupt
        done.append(directory)
        return real(given, directory, **options)

    monkeypatch.setattr(jobs, "build_one", dying)
    with pytest.raises(KeyboardInterrupt):
        build(root, shards=2)
    monkeypatch.setattr(jobs, "build_one", real)
    assert not (root.parent / "big/shards.json").exists()

    report = build(root, **again)

    assert (report.images, report.encoded) == (12, 6)
    assert len(read_shards(root.parent / "big").shards) == 2
    assert not (root.parent / "big/building.json").exists()
    assert not (root.parent / "big/manifest.json").exists()


def test_a_build_that_died_goes_on_as_whichever_shard_was_done(root):
    place = root / ".retrieve"
    build(root, shards=2, encoder="nano@1", exclude=["0.png"], index=place)
    units = {shard.number: shard.units for shard in read_shards(place).shards}
    shutil.rmtree(place / "shard-00000")
    (place / "shards.json").unlink()
    (place / "building.json").write_text(json.dumps({"units": units}))

    with pytest.raises(OptionError, match="holds vectors of nano@1, not of nano@2"):
        build(root, encoder="nano@2", index=place)
    report = build(root, encoder=None, index=root, named=False)

    assert (report.images, report.encoded) == (8, len(units[0]) * 2)
    assert {shard.manifest.encoder for shard in read_shards(place).shards} == {"nano@1"}


def test_a_build_that_died_before_any_shard_was_done_goes_on_as_it_was_asked(root, monkeypatch):
    def dying(*_given, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "build_one", dying)
        with pytest.raises(KeyboardInterrupt):
            build(root, shards=2, encoder="nano@1", exclude=["0.png"], index=None)

    report = build(root, encoder=None, index=None)

    assert report.images == 8
    assert {shard.manifest.encoder for shard in read_shards(root / ".retrieve").shards} == {"nano@1"}


def test_readers_see_all_shards_as_they_were_until_the_build_ends(root, monkeypatch):
    build(root, shards=2)
    fill(root, ["a/new.png", "d/new.png"], first=800)
    real, seen = jobs.build_one, []

    def watched(given, directory, **options):
        done = real(given, directory, **options)
        with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as sharded:
            seen.append((len(sharded), len(sharded.search("red", k=20, names="off"))))
        return done

    monkeypatch.setattr(jobs, "build_one", watched)
    build(root)

    assert seen == [(12, 12), (12, 12)]
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as sharded:
        assert len(sharded) == 14


def test_skipped_files_of_all_shards_are_listed_once(root):
    (root / "a/empty.jpg").touch()
    (root / "d/empty.jpg").touch()
    (root / "d/notes.txt").write_text("no image")

    report = build(root, shards=2)

    assert report.skipped_by_reason == {"empty": 2}
    assert report.other_files == {"txt": 1}
    lines = (root.parent / "big/skipped.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == ["a/empty.jpg", "d/empty.jpg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shards": 0}, "at least 1"),
        ({"shards": 40}, "has 12 images, too few for 40 shards; give `shards=12` at most"),
        ({"shards": 2, "views": 3}, "`views` works on one collection"),
        ({"shards": 2, "truncate_dim": 16}, "`truncate_dim` works on one collection"),
        ({"shards": 2, "kind": "HNSW16,Flat"}, "no inverted lists"),
        ({"shards": 2, "cluster": "moon"}, "no cluster"),
        ({"shards": 2, "cluster": "local:1"}, "stays in this process"),
        ({"cluster": "local"}, "goes with a sharded collection"),
        ({"retrain": True}, "goes with a sharded collection"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(root, options, said):
    with pytest.raises(OptionError, match=said):
        build(root, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "hnsw"}, "index kind 'hnsw'.*could not parse"),
        ({"kind": "HNSW32"}, "index kind 'HNSW32' has no inverted lists"),
        ({"kind": "IVF2,nothing"}, "could not parse"),
        ({"target_recall": 2.0}, "target_recall is 2.0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_built", [False, True])
def test_an_index_that_cannot_be_is_refused_before_an_image_is_encoded(root, options, said, is_built):
    if is_built:
        build(root, shards=3)
        fill(root, ["a/new.png", "d/new.png"], first=800)
    before = sorted((root.parent / "big").glob("*"))
    encoder = CountingEncoder()

    with pytest.raises(OptionError, match=said):
        build(root, encoder=encoder, **({} if is_built else {"shards": 3}), **options)

    assert encoder.encoded == 0
    assert [path for path in sorted((root.parent / "big").glob("*")) if path.is_dir()] == [
        path for path in before if path.is_dir()
    ]
    assert not (root.parent / "big/building.json").exists()


def test_one_collection_does_not_become_a_sharded_one(root):
    build(root)

    with pytest.raises(OptionError, match="is one collection already"):
        build(root, shards=2)


def test_another_source_is_refused(root, tmp_path):
    build(root, shards=2)

    with pytest.raises(OptionError, match="the one source"):
        retrieval.build_index(
            fill(tmp_path / "others", ["x.png"]), index=root.parent / "big", encoder=CountingEncoder()
        )


def test_tars_are_units(tmp_path):
    import tarfile

    fill(tmp_path / "made", NAMES)
    for folder in "abcd":
        with tarfile.open(tmp_path / f"{folder}.tar", "w") as archive:
            for path in sorted((tmp_path / "made" / folder).iterdir()):
                archive.add(path, path.name)

    report = retrieval.build_index(
        str(tmp_path / "{a,b,c,d}.tar"),
        index=tmp_path / "big",
        shards=2,
        encoder=CountingEncoder(),
        progress=False,
    )

    assert report.encoded == 12
    shards = read_shards(tmp_path / "big").shards
    assert [shard.manifest.live for shard in shards] == [6, 6]
    with retrieval.open(tmp_path / "big", encoder=CountingEncoder()) as sharded:
        assert sharded["c.tar/1.png"].open().size == (48, 48)
        (hit,) = sharded.search(sharded["c.tar/1.png"].id, k=1, include_self=True)
        assert hit.open().size == (48, 48)


@pytest.mark.parametrize("lost", ["shard-00000", "shard-00001"])
def test_a_shard_that_is_lost_is_built_again(root, lost):
    build(root, shards=2)
    shutil.rmtree(root.parent / "big" / lost)

    report = build(root)

    assert report.images == len(NAMES)
    assert 0 < report.encoded < len(NAMES)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as found:
        assert len(found) == len(NAMES)
        assert all(check.ok for check in found.verify())


def test_rows_added_by_hand_to_a_shard_that_is_lost_are_given_up_only_when_asked(root):
    build(root, shards=2)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as found:
        found.add(-found.vectors(NAMES[:2]), ["one", "two"])
    lost = next(
        shard.name for shard in read_shards(root.parent / "big").shards if len(shard.manifest.sources) > 1
    )
    shutil.rmtree(root.parent / "big" / lost)

    with pytest.raises(StoreCorrupt, match=rf"{lost} is missing, .* by hand .*prune=True"):
        build(root)

    assert build(root, prune=True).images == len(NAMES)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_manifest_of_a_shard_that_is_damaged_is_written_again(root, is_there):
    build(root, shards=2)
    path = root.parent / "big/shard-00001/manifest.json"
    whole = path.read_bytes()
    path.unlink()
    if is_there:
        path.write_bytes(whole[:100])
    fill(root, ["d/new.png"], first=400)

    report = build(root)

    assert (report.images, report.encoded) == (13, 1)
    assert any("shard-00001: its manifest.json could not be read" in note for note in report.notes)
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as collection:
        assert len(collection) == 13


def test_the_store_of_a_shard_that_is_cut_is_named_with_the_shard_to_move(root):
    build(root, shards=2)
    shard = root.parent / "big/shard-00001"
    os.truncate(shard / "vectors.lmdb/data.mdb", 5000)

    for act in (lambda: retrieval.open(root.parent / "big", encoder=CountingEncoder()), lambda: build(root)):
        with pytest.raises(StoreCorrupt, match=re.escape(f"move {shard} away and build again")):
            act()
    shard.rename(root.parent / "away")
    assert build(root).encoded == 6


@pytest.mark.parametrize("lost", [0, 1])
def test_a_shard_that_is_lost_is_built_again_though_no_source_is_named(root, lost):
    fill(root, ["a/left/0.png"], first=700)
    build(root, shards=2, exclude=["a/left/*"])
    shutil.rmtree(root.parent / f"big/shard-0000{lost}")

    assert build(root, named=False).images == 12
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as collection:
        assert sorted(collection) == NAMES


def test_another_shard_begins_though_no_source_is_named(root):
    build(root, shards=2, shard_rows=7)
    fill(root, [f"e/{number}.png" for number in range(4)], first=600)

    assert build(root, named=False).images == 16
    assert len(read_shards(root.parent / "big").shards) == 3


def test_shards_that_nothing_names_are_not_built_beside(root):
    build(root, shards=2)
    (root.parent / "big/shards.json").unlink()

    for act in (
        lambda: retrieval.open(root.parent / "big", encoder=CountingEncoder()),
        lambda: build(root),
        lambda: build(root, shards=2),
        lambda: retrieval.sync_vectors(root, np.eye(4), list("abcd"), index=root.parent / "big", space="s"),
    ):
        with pytest.raises(StoreCorrupt, match="missing, though shards lie there"):
            act()
    assert not (root.parent / "big/manifest.json").exists()

"""Rows by hand in a sharded collection: added, replaced, deleted and found as in one collection."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest

import retrieval
from indexes.generation import MANIFEST, SHIFT, read_shards, shard_name
from retrieval.cli import main
from retrieval.collection.sharded.rows import lost_manifests, publication, shard_hand_rows
from retrieval.errors import (
    CollectionLocked,
    MissingRow,
    OptionError,
    PruneRefused,
    ShapeError,
    StoreClosed,
    StoreCorrupt,
)
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.shards import DIM, shards_of, vectors

NAMES = [f"{folder}/{number}.png" for folder in "ab" for number in range(3)]


@pytest.fixture
def root(tmp_path):
    root = fill(tmp_path / "photos", NAMES)
    retrieval.build_index(root, index=tmp_path / "big", shards=2, encoder=CountingEncoder(), progress=False)
    return root


@pytest.fixture
def big(root):
    with retrieval.open(root.parent / "big", encoder=CountingEncoder()) as sharded:
        yield sharded


@pytest.fixture
def made(tmp_path):
    """Give two shards with an index, full with 300 rows each; all rows are by hand."""
    rows = vectors(600)
    shards_of(tmp_path, [rows[:300], rows[300:]])
    limit(tmp_path, 300)
    with retrieval.open(tmp_path) as sharded:
        yield sharded


def limit(directory, rows):
    from dataclasses import replace

    from indexes.generation import write_shards

    write_shards(directory, replace(read_shards(directory), shard_rows=rows))


def rows_of(sharded):
    return [shard["rows"] for shard in sharded.info()["shards"]]


def first_of(sharded, vector):
    (hit,) = sharded.search(vector, k=1)
    return hit.path


def test_rows_are_added_to_the_last_shard_found_and_deleted(big):
    some = vectors(2, seed=5)[:, :1].repeat(64, axis=1) * np.linspace(-1, 1, 64)
    some[1] = some[1][::-1] ** 3
    before = rows_of(big)

    ids = big.add(some, keys=["one", "two"])

    assert (ids >> SHIFT).tolist() == [1, 1]
    assert rows_of(big) == [before[0], before[1] + 2]
    assert [big.key_of(number) for number in ids.tolist()] == ["one", "two"]
    assert first_of(big, some[1]) == "two"
    assert big.delete("one") == 1
    assert big.delete(ids=ids[1:]) == 1
    assert rows_of(big) == before
    assert "one" not in big
    assert all(check.ok for check in big.verify())


def test_a_key_stays_in_its_shard(made):
    more = vectors(3, seed=7)

    ids = made.upsert(more, keys=["0/5", "1/5", "new"])

    assert (ids >> SHIFT).tolist() == [0, 1, 2]
    assert rows_of(made) == [300, 300, 1]
    assert [first_of(made, row) for row in more] == ["0/5", "1/5", "new"]
    again = made.upsert(more, keys=["0/5", "1/5", "new"])
    np.testing.assert_array_equal(again, ids)


def test_another_shard_begins_when_the_last_is_full(made):
    more = vectors(700, seed=8)

    ids = made.add(more[:299])
    rest = made.add(more[299:302], keys=["x", "y", "z"])

    assert rows_of(made) == [300, 300, 300, 2]
    assert [made.key_of(number) for number in ids[:2].tolist()] == [str(2 << SHIFT), str((2 << SHIFT) + 1)]
    assert (rest >> SHIFT).tolist() == [2, 3, 3]
    found = made.search_vectors(more[:302], k=1)
    np.testing.assert_array_equal(found.ids[:, 0], np.concatenate([ids, rest]))
    assert read_shards(made.directory).shards[3].units == ()
    assert all(check.ok for check in made.verify())
    with retrieval.open(made.directory) as other:
        assert len(other) == 902


def test_what_is_wrong_is_refused_before_anything_is_written(big):
    big.add(np.ones((1, 64)), keys=["mine"])
    before = read_shards(big.directory)

    with pytest.raises(OptionError, match=r"key 2 .'mine'. is taken by row"):
        big.add(np.ones((2, 64)), keys=["other", "mine"])
    with pytest.raises(OptionError, match="belongs to a file of the folder"):
        big.upsert(np.ones((2, 64)), keys=["other", "a/0.png"])
    with pytest.raises(OptionError, match="belongs to a file of the folder"):
        big.delete("a/0.png")
    with pytest.raises(MissingRow, match=r"key 1 .'none'.: the collection has no such row"):
        big.delete("none")
    with pytest.raises(MissingRow, match="no row"):
        big.delete(ids=[5 << SHIFT])
    with pytest.raises(ShapeError):
        big.add(np.ones((1, 3)), keys=["other"])
    assert read_shards(big.directory) == before
    assert len(big) == 7


def test_the_writer_streams_and_publishes_what_was_done_when_it_raises(big):
    def stream():
        yield np.eye(64)[:2], ["kept", "too"]
        with pytest.raises(CollectionLocked):
            big.add(np.ones(64), keys=["beside"])
        raise KeyError

    def write():
        with big.writer() as rows:
            for vectors_, keys in stream():
                rows.add(vectors_, keys=keys)

    with pytest.raises(KeyError):
        write()
    assert {"kept", "too"} <= set(big)
    with big.writer() as rows:
        rows.delete("kept")
        rows.upsert(np.eye(64)[5], keys="too")
    with pytest.raises(StoreClosed):
        rows.add(np.ones(64), keys=["late"])
    assert (rows.added, rows.updated, rows.deleted) == (0, 1, 1)
    assert len(big) == 7


def test_rows_that_were_just_added_can_be_deleted_by_their_ids(made):
    before = len(made)
    with made.writer() as writer:
        ids = writer.add(vectors(3, seed=5), ["x", "y", "z"])
        writer.delete(ids=ids[:2])

    assert len(made) == before + 1
    assert [key in made for key in ("x", "y", "z")] == [False, False, True]


def test_a_manifest_that_cannot_be_read_just_now_is_not_replaced_by_an_older_one(made, tmp_path, monkeypatch):
    home = made.directory
    shards = read_shards(home)
    place = home / shards.shards[0].name / MANIFEST
    newer, read = place.read_bytes() + b" ", lost_manifests.read_manifest

    def away(directory):
        if directory == place.parent:
            raise StoreCorrupt(f"{place}: cannot be read") from OSError(errno.EIO, "away")
        return read(directory)

    place.write_bytes(newer)
    monkeypatch.setattr(lost_manifests, "read_manifest", away)
    assert lost_manifests.restore_manifests(home, shards) == []
    assert place.read_bytes() == newer

    monkeypatch.undo()
    place.unlink()
    assert lost_manifests.restore_manifests(home, shards) != []
    assert place.is_file()


def test_images_and_columns_of_rows_by_hand(big, root):
    encoder = big.encoder
    calls = encoder.images if hasattr(encoder, "images") else None

    ids = big.add_images([root / "a/0.png"], keys=["copy"])

    np.testing.assert_array_equal(big.vectors(ids), big.vectors(["a/0.png"]))
    assert calls is None or calls == encoder.images
    big.add(np.eye(64)[:2], keys=["x", "y"], columns=[{"label": "old"}, {"label": "new"}])
    assert [hit.path for hit in big.search(np.eye(64)[0], where="label = 'new'")] == ["y"]
    assert big.delete(where="label = 'old'") == 1
    assert "y" in big
    assert "x" not in big


def test_the_next_build_leaves_rows_by_hand_alone(big, root):
    big.add(np.eye(64)[:2], keys=["x", "y"])
    (root / "a/0.png").unlink()

    report = retrieval.build_index(index=big.directory, encoder=CountingEncoder(), progress=False)

    assert (report.removed, report.images) == (1, 7)
    big.refresh()
    assert {"x", "y"} <= set(big)


def test_a_file_with_the_key_of_a_row_in_another_shard_stops_a_build(big, root):
    big.add(np.eye(64)[:1], keys=["a/9.png"])
    assert (big.id_of("a/9.png") >> SHIFT) != (big.id_of("a/0.png") >> SHIFT)
    fill(root, ["a/9.png"], first=900)

    with pytest.raises(OptionError, match=r"'a/9.png' .* added by hand"):
        retrieval.build_index(index=big.directory, encoder=CountingEncoder(), progress=False)


def test_rows_by_hand_are_made_equal_to_vectors(made):
    rows = vectors(20, seed=9)
    keys = [f"0/{number}" for number in range(20)]

    with pytest.raises(PruneRefused, match="580 of 600 rows"):
        made.sync_vectors(rows, keys)
    report = made.sync_vectors(rows, keys, prune=True)

    assert (report.rows, report.added, report.updated, report.deleted) == (20, 0, 20, 580)
    assert sorted(made) == sorted(keys)
    with pytest.raises(OptionError, match="`kind` is given to `build_index`"):
        retrieval.sync_vectors(made.directory, rows, keys, index=made.directory, kind="flat", progress=False)
    again = retrieval.sync_vectors(made.directory, rows, keys, index=made.directory, progress=False)
    assert (again.unchanged, again.written) == (20, 0)


def test_a_sync_tells_how_far_it_is(made):
    told: list[retrieval.Progress] = []
    keys = [f"{shard}/{row}" for shard in range(2) for row in range(300)]

    first = made.sync_vectors(vectors(600, seed=11), keys, progress=told.append)

    assert first.updated == 600
    stored = [number for number, event in enumerate(told) if event.phase == "store"]
    assert (told[stored[-1]].done, told[stored[-1]].total) == (600, 600)
    assert "tune" in {event.phase for event in told[stored[-1] :]}
    told.clear()
    retrieval.sync_vectors(
        made.directory, vectors(600, seed=12), keys, index=made.directory, progress=told.append
    )
    assert {"store", "tune"} <= {event.phase for event in told}


def test_a_killed_writer_loses_no_shard(made, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(shard_hand_rows, "publish_by_hand", die)
    monkeypatch.setattr("retrieval.collection.sharded.rows.shard_writer.publish_as_they_are", die)
    with pytest.raises(KeyboardInterrupt):
        made.add(vectors(2, seed=10), keys=["p", "q"])
    monkeypatch.undo()
    assert len(made) == 600
    assert (made.directory / shard_name(2)).is_dir()

    made.add(vectors(1, seed=11), keys=["r"])

    assert {"p", "q", "r"} <= set(made)
    assert rows_of(made) == [300, 300, 3]


def test_recall_is_measured_again_and_rows_are_listed_once_many_are_new(made, monkeypatch):
    measured = []
    real = publication.measure_shards
    monkeypatch.setattr(
        publication, "measure_shards", lambda *args, **options: measured.append(1) or real(*args, **options)
    )

    made.add(vectors(5, seed=12))
    assert measured == []
    made.add(vectors(250, seed=13))

    assert measured == [1]
    assert made.info()["kind"] == "ivfrabitq"
    queries = vectors(50, seed=14)
    found = made.search_vectors(queries, k=10)
    truth = made.search_vectors(queries, k=10, exact=True)
    assert (
        np.mean([len(set(a) & set(b)) for a, b in zip(found.ids, truth.ids, strict=True)]) >= 8.5
    )  # usually 9.7


def test_the_commands_add_and_delete(made, tmp_path, capsys):
    np.save(tmp_path / "new.npy", vectors(2, seed=15))
    (tmp_path / "new.txt").write_text("one\n0/7\n")

    new = ["--vectors", str(tmp_path / "new.npy"), "--keys", str(tmp_path / "new.txt")]
    index = ["--index", str(made.directory)]
    assert main(["add", *new, "--upsert", *index, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["added"], facts["updated"]) == (601, 1, 1)
    assert main(["delete", "--ids", str(2 << SHIFT), *index]) == 0
    assert "1 deleted" in capsys.readouterr().out
    made.refresh()
    assert "one" not in made
    assert len(made) == 600
    assert made.space.dim == DIM


def test_a_manifest_that_is_lost_is_written_again_and_told(made):
    (made.directory / shard_name(1) / "manifest.json").unlink()

    with pytest.warns(RuntimeWarning, match="shard-00001: its manifest.json could not be read"):
        made.add(vectors(1, seed=20), keys=["new"])

    assert "new" in set(made)
    assert (made.directory / shard_name(1) / "manifest.json").is_file()

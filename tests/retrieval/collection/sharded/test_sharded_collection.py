"""A sharded collection answers as one collection of the same rows."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import SHIFT
from indexes.vectors import recall_at_k
from retrieval.collection.sharded import ShardedCollection
from retrieval.collection.sharded.rows import publication
from retrieval.errors import MissingRow, OptionError, ShapeError, StoreCorrupt
from tests.retrieval.folders import fill
from tests.retrieval.shards import shards_of, vectors

NAMES = [f"{folder}/{number}.png" for folder in ("cats", "dogs", "trees") for number in range(4)]


@pytest.fixture(scope="module")
def encoder():
    return retrieval.testing.FakeEncoder()


@pytest.fixture(scope="module")
def built(tmp_path_factory, encoder):
    """Build a sharded collection of a folder with a copy in another shard, and one collection of it."""
    home = tmp_path_factory.mktemp("built")
    root = fill(home / "photos", NAMES)
    shutil.copy(root / "cats/0.png", root / "trees/copy.png")
    retrieval.build_index(root, index=home / "big", shards=3, encoder=encoder, progress=False)
    retrieval.build_index(root, encoder=encoder, progress=False)
    return home


@pytest.fixture(scope="module")
def both(built, encoder):
    with (
        retrieval.open(built / "big", encoder=encoder) as sharded,
        retrieval.open(built / "photos", encoder=encoder) as one,
    ):
        yield sharded, one


@pytest.fixture
def own(built, tmp_path, encoder):
    """Give a copy of the sharded collection and its folder, to be changed."""
    shutil.copytree(built, tmp_path / "own")
    with retrieval.open(tmp_path / "own/big", encoder=encoder) as sharded:
        yield sharded


def told(hits):
    """Say what hits are; which of several copies stands for them depends on their ids."""
    return [(min([hit.path, *hit.duplicates]), round(hit.score, 5), hit.n_duplicates) for hit in hits]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"under": "dogs"},
        {"glob": "*1.png"},
        {"where": "width > 3"},
        {"exact": True},
        {"fold_duplicates": False},
        {"include_self": True},
        {"min_score": 0.2},
    ],
    ids=str,
)
def test_it_answers_as_one_collection(both, options):
    sharded, one = both
    query = one.root / "cats/0.png"

    found = sharded.search(query, k=20, **options)

    assert told(found) == told(one.search(query, k=20, **options))
    assert found.searched == one.search(query, **options).searched


def test_words_are_looked_up_in_the_names_of_all_shards(both):
    sharded, one = both

    assert told(sharded.search("trees", names="only"))[:3] == told(one.search("trees", names="only"))[:3]
    assert {hit.path for hit in sharded.search("trees", names="only")} == {
        hit.path for hit in one.search("trees", names="only")
    }


def test_copies_in_several_shards_are_one_hit(both):
    sharded, _ = both

    (hit,) = sharded.search(sharded["cats/0.png"].id, k=1, include_self=True)

    assert {hit.path, *hit.duplicates} == {"cats/0.png", "trees/copy.png"}


def test_ids_are_those_of_the_shard_and_of_the_row(both):
    sharded, _ = both
    ids = sharded.row_ids()

    assert [sharded.key_of(number) for number in ids.tolist()] == list(sharded)
    assert all(sharded.id_of(key) == number for key, number in zip(sharded, ids.tolist(), strict=True))
    assert set((ids >> SHIFT).tolist()) == {0, 1, 2}
    with pytest.raises(MissingRow, match="no shard has a row"):
        sharded.key_of(7 << SHIFT)


def test_flags_are_those_of_one_shard_after_the_other(both):
    sharded, _ = both
    flags = sharded.mask(under="dogs")

    found = sharded.search(sharded["dogs/0.png"].id, k=20, mask=flags)

    assert {hit.path for hit in found} == {"dogs/1.png", "dogs/2.png", "dogs/3.png"}
    assert len(sharded.vectors(flags)) == 4
    named = sharded.row_ids(flags)
    np.testing.assert_array_equal(sharded.mask(ids=named[::-1]), flags)
    np.testing.assert_array_equal(sharded.row_ids(sharded.mask(ids=["dogs/0.png"])), named[:1])
    with pytest.raises(ShapeError, match="one shard after the other"):
        sharded.search(0, mask=flags[1:])


def test_everything_is_exported(both):
    sharded, one = both
    rows, keys = sharded.export()
    other, names = one.export()

    assert sorted(keys) == sorted(names)
    order = [names.index(key) for key in keys]
    assert np.array_equal(rows, other[order])
    assert np.asarray(sharded).shape == (13, 64)
    assert sharded.to_arrow().column("key").to_pylist() == keys


def test_it_says_what_it_holds(both):
    sharded, one = both
    facts = sharded.info()

    assert facts["images"] == 13
    assert sum(shard["rows"] for shard in facts["shards"]) == 13
    assert facts["root"] == one.info()["root"]
    assert sharded.folders() == one.folders()
    assert not sharded.changed()
    assert all(check.ok for check in sharded.verify())
    json.dumps(facts)


def test_it_is_evaluated(both):
    sharded, one = both

    assert retrieval.evaluate(sharded, progress=False).recall_at_10 == 1.0
    assert len(sharded) == len(one)


def test_rows_stand_where_flags_of_them_stand(both):
    sharded, one = both
    ids = sharded.row_ids()
    places = sharded.places(ids)

    assert sharded.rows.shape == (13, 64)
    np.testing.assert_array_equal(places, np.flatnonzero(sharded.live))
    np.testing.assert_array_equal(sharded.ids_at(places), ids)
    np.testing.assert_array_equal(sharded.rows[places].astype(np.float32), sharded.vectors(ids))
    assert sharded.places("dogs/0.png").tolist() == sharded.places([sharded.id_of("dogs/0.png")]).tolist()
    np.testing.assert_array_equal(one.places([3, 1]), [3, 1])
    np.testing.assert_array_equal(one.ids_at(np.array([3, 1])), [3, 1])


def test_it_pickles_and_copies(both):
    sharded, _ = both
    with pickle.loads(pickle.dumps(sharded)) as other:  # noqa: S301 - our own
        assert isinstance(other, ShardedCollection)
        assert told(other.search(0, k=3)) == told(sharded.search(0, k=3))


@pytest.mark.parametrize(
    "call",
    [
        lambda sharded: retrieval.sync_vectors(
            sharded.root, np.ones((1, 64)), ["a"], index=sharded.directory, kind="flat", progress=False
        ),
    ],
)
def test_what_does_not_work_is_refused_by_name(both, call):
    sharded, _ = both

    with pytest.raises(OptionError, match="sharded collection"):
        call(sharded)
    assert all(check.ok for check in sharded.verify())


def test_a_shard_is_not_written_by_itself(both, encoder):
    sharded, _ = both

    with pytest.raises(OptionError, match="is a shard of"):
        retrieval.build_index(index=sharded.directory / "shard-00001", encoder=encoder, progress=False)


def test_a_missing_shard_is_named_or_left_out(own, encoder):
    sharded = own
    lost = sharded["dogs/0.png"].id >> SHIFT
    name = f"shard-{lost:05d}"
    shutil.move(sharded.directory / name, sharded.directory / "away")

    with pytest.raises(StoreCorrupt, match=name):
        retrieval.open(sharded.directory, encoder=encoder)
    with retrieval.open(sharded.directory, encoder=encoder, allow_partial=True) as rest:
        found = rest.search("red", names="off", k=20, fold_duplicates=False)
        assert found.missing == (name,)
        assert found[:2].missing == (name,)
        assert len(found) == 13 - own.info()["shards"][lost]["rows"]
        assert rest.info()["shards"][lost]["missing"]


def test_a_damaged_whole_is_found(own):
    sharded = own
    path: Path = sharded.directory / "shards.json"
    path.write_bytes(path.read_bytes().replace(b'"shard_rows": 10000000', b'"shard_rows": 10000001'))

    with pytest.raises(StoreCorrupt, match="checksum does not fit"):
        retrieval.open(sharded.directory)
    assert [check.path for check in sharded.verify() if not check.ok] == ["shards.json"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a directory of four indexed shards, the last one with few rows."""
    directory = tmp_path_factory.mktemp("made")
    rows = vectors(2600)
    parts = [rows[:800], rows[800:1600], rows[1600:2400], rows[2400:]]
    return directory, parts, shards_of(directory, parts)


def test_lists_are_chosen_once_and_recall_reaches_the_target(made):
    directory, parts, shards = made
    queries = vectors(200, seed=1)

    with retrieval.open(directory) as sharded:
        found = sharded.search_vectors(queries, k=10)
        truth = sharded.search_vectors(queries, k=10, exact=True)
        assert recall_at_k(found.ids, truth.ids) >= 0.93  # usually 0.96
        every = sharded.search_vectors(queries, k=10, nprobe=1000, shortlist=2600)
        assert np.array_equal(every.ids, truth.ids)
        assert (np.diff(found.scores, axis=1) <= 0).all()
        whole = np.concatenate(parts)
        own = sharded.search_vectors(whole[[5, 900, 2500]], k=1)
    assert own.ids[:, 0].tolist() == [5, (1 << SHIFT) + 100, (3 << SHIFT) + 100]
    assert shards.training is not None
    assert shards.index.recall_at_10 >= 0.95


def test_codes_are_searched_over_all_shards(made):
    directory, parts, _ = made
    with retrieval.open(directory) as sharded:
        every = sharded.search_codes(np.concatenate(parts)[[5, 900, 2500]], k=2600, nprobe=1000)
        few = sharded.search_codes(vectors(30, seed=1), k=10)
        truth = sharded.search_vectors(vectors(30, seed=1), k=10, exact=True)

    assert np.array_equal(np.sort(every.ids[0]), np.sort(every.ids[1]))
    assert len(np.unique(every.ids[0])) == 2600 - (every.ids[0] < 0).sum()
    assert (np.diff(every.scores, axis=1) <= 0).all()
    assert 0.2 < recall_at_k(few.ids, truth.ids) < 1  # nothing is reranked


def test_it_is_told_how_well_the_training_fits_each_shard(made, tmp_path):
    directory, parts, _ = made
    with retrieval.open(directory) as sharded:
        assert all(0.9 < shard["training_fit"] < 1.1 for shard in sharded.info()["shards"])
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((32, 32)))[0].astype(np.float32)
    shutil.copytree(directory, tmp_path / "own")
    with retrieval.open(tmp_path / "own") as sharded:
        sharded.add(vectors(800, seed=5) @ turn, keys=[f"new/{number}" for number in range(800)])
        fits = [shard["training_fit"] for shard in sharded.info()["shards"]]
        assert max(fits[:3]) < 1.1
        assert fits[3] > 1.2  # 800 of its 1,000 rows lie elsewhere
    shards_of(tmp_path / "own", parts, retrain=True)
    with retrieval.open(tmp_path / "own") as sharded:
        after = [shard["training_fit"] for shard in sharded.info()["shards"]]
    assert all(0.9 < fit < 1.1 for fit in after)


def named_pairs(collection, **options):
    """Return pairs of keys, which do not depend on ids, and their scores."""
    found = {}
    for block in collection.pairs(0.75, **options):
        for one, other, score in zip(*block, strict=True):
            pair = frozenset((collection.key_of(int(one)), collection.key_of(int(other))))
            found[pair] = round(float(score), 4)
    return found


@pytest.fixture(scope="module")
def alike(made, tmp_path_factory):
    """Give one collection of the rows of all shards, with their keys."""
    directory, parts, _ = made
    keys = [f"{number}/{row}" for number, part in enumerate(parts) for row in range(len(part))]
    place = tmp_path_factory.mktemp("one")
    retrieval.sync_vectors(place, np.concatenate(parts), keys, space="made", kind="ivfrabitq", progress=False)
    with retrieval.open(directory) as sharded, retrieval.open(place) as one:
        yield sharded, one


def test_rows_of_all_shards_are_joined(alike):
    sharded, one = alike

    found = named_pairs(sharded)

    assert found == named_pairs(one)
    shards = {frozenset(key[0] for key in pair) for pair in found}
    assert {frozenset("01"), frozenset("23"), frozenset("0")} <= shards
    some = ["0/3", "3/7", "1/1"]
    assert named_pairs(sharded, since=some) == named_pairs(one, since=some)


def test_widths_are_measured_over_all_shards(alike, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,label\n" + "".join(f"{n}/{row},{row % 3}\n" for n in range(4) for row in range(50))
    )

    found, true = (
        retrieval.evaluate(one, dims=(16, 32), sample=100, labels=labels, progress=False).dims
        for one in alike
    )

    assert [mine["dim"] for mine in found] == [16, 32]
    assert [mine["knn_accuracy"] for mine in found] == [its["knn_accuracy"] for its in true]
    assert found[1]["recall_at_10"] == 1.0
    assert found[0]["recall_at_10"] == pytest.approx(true[0]["recall_at_10"], abs=0.1)  # another sample
    assert 0.3 < found[0]["recall_at_10"] < found[0]["recall_at_10_reranked"]


def test_the_lists_of_all_shards_group_the_rows_of_a_join(alike, monkeypatch):
    from indexes.join import self_join

    sharded, one = alike
    exact = named_pairs(one)
    monkeypatch.setattr(self_join, "DIRECT", 1)

    found = named_pairs(sharded)

    assert set(found) <= set(exact)
    assert len(found) >= 0.9 * len(exact)  # usually 0.98


def test_more_neighbours_than_lists_hold_are_filled(made):
    directory, parts, _ = made

    with retrieval.open(directory) as sharded:
        found = sharded.search_vectors(parts[0][:2], k=2600, nprobe=1)

    assert (found.ids >= 0).all()
    assert [len(set(row)) for row in found.ids.tolist()] == [2600, 2600]


def test_rows_that_are_reranked_do_not_grow_with_shards(made, monkeypatch):
    directory, parts, _ = made
    scored = []
    from retrieval.collection.sharded.shard_reader import ShardReader

    real = ShardReader.scored
    monkeypatch.setattr(
        ShardReader,
        "scored",
        lambda self, queries, ids, k: scored.append((ids >= 0).sum()) or real(self, queries, ids, k),
    )
    with retrieval.open(directory) as sharded:
        sharded.search_vectors(parts[0][:1], k=10, shortlist=40)

    assert sum(scored) == 40


def test_an_empty_batch_gives_nothing(made):
    directory, _, _ = made

    with retrieval.open(directory) as sharded:
        assert sharded.search([]) == []
        assert sharded.search_vectors(np.empty((0, 32)), k=3).ids.shape == (0, 3)


def test_training_again_encodes_all_shards_anew(made, tmp_path):
    _, parts, _ = made
    directory, rows = tmp_path / "other", vectors(200, seed=3)
    before = shards_of(directory, parts)
    assert shards_of(directory, parts) == before
    assert shards_of(directory, parts, retrain=True) == before  # of the same rows it is the same training

    after = shards_of(directory, parts, kind="ivfpq")

    assert after.training.factory.endswith("PQ32")
    assert after.generation == before.generation + 1
    with retrieval.open(directory) as sharded:
        found = sharded.search_vectors(rows, k=10)
        assert recall_at_k(found.ids, sharded.search_vectors(rows, k=10, exact=True).ids) >= 0.93


@pytest.mark.slow  # measures the recall of several codes
def test_codes_get_a_second_bit_where_one_is_not_enough(tmp_path):
    rows = np.random.default_rng(5).standard_normal((16_000, 32)).astype(np.float32)  # without any clusters

    shards = shards_of(tmp_path, [rows[:8000], rows[8000:]], recall=0.99)

    assert shards.training.factory.endswith("RaBitQfs2")
    assert [path.suffix for path in (tmp_path / "training").iterdir()] == [".faiss"]
    assert shards_of(tmp_path, [rows[:8000], rows[8000:]], recall=0.99) == shards
    with retrieval.open(tmp_path) as sharded:
        assert all(check.ok for check in sharded.verify())


def test_recall_is_measured_again_once_a_twentieth_of_the_rows_has_changed(made, tmp_path, monkeypatch):
    _, parts, _ = made
    directory, measured = tmp_path / "other", []
    real = publication.measure_shards
    monkeypatch.setattr(
        publication, "measure_shards", lambda *args, **options: measured.append(1) or real(*args, **options)
    )
    shards_of(directory, parts[:2])
    for number, count in ((10, 1), (200, 2)):
        more = np.concatenate([parts[1], vectors(number, seed=number)])
        keys = [f"1/{row}" for row in range(len(more))]
        # Put away: a shard is written by builds of the whole alone.
        (directory / "shards.json").rename(directory / "away")
        retrieval.sync_vectors(directory, more, keys, index=directory / "shard-00001", progress=False)
        (directory / "away").rename(directory / "shards.json")

        shards_of(directory, parts[:2])

        assert len(measured) == count


def test_readers_keep_the_generations_that_are_named(own, encoder):
    sharded = own
    before = told(sharded.search(0, k=5))
    fill(sharded.root, ["cats/new.png"], first=500)

    retrieval.build_index(index=sharded.directory, encoder=encoder, progress=False)

    assert told(sharded.search(0, k=5)) == before
    assert len(sharded) == 13
    assert sharded.refresh()
    assert len(sharded) == 14
    assert not sharded.refresh()

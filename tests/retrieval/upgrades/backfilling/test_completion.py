"""The last row encoded again publishes a generation of the new space."""

from __future__ import annotations

import shutil

import pytest

import retrieval
from indexes.generation.manifest import read_manifest
from retrieval.errors import OptionError
from tests.retrieval.drift import NEW, OLD, drift
from tests.retrieval.folders import fill, ids_by_key, picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, check_all_new


class TestCompletion:
    def test_ids_paths_and_copies_stay(self, migrating):
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        assert retrieval.backfill(migrating).complete

        assert check_all_new(migrating) == before
        with retrieval.open(migrating) as collection:
            assert collection.manifest.encoder == "drift:new"
            assert collection.space.name == "drift:new"
            assert collection.info()["upgrade"]["state"] == "complete"
            assert collection.search(migrating / NAMES[3], k=1, include_self=True)[0].id == before[NAMES[3]]
        assert not (migrating / ".retrieve/upgrade").exists()

    def test_it_goes_on_as_any_collection(self, migrating):
        retrieval.backfill(migrating)
        fill(migrating, ["new/a.png"], first=1000)
        (migrating / NAMES[0]).unlink()
        report = retrieval.build_index(migrating)

        assert (report.encoded, report.removed, report.images) == (1, 1, COUNT)
        check_all_new(migrating)

    def test_tombstones_keep_their_ids(self, migrating):
        for name in NAMES[10:30]:
            (migrating / name).unlink()
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        retrieval.backfill(migrating)

        assert check_all_new(migrating) == before

    def test_dropping_the_old_vectors_frees_them_and_ends_the_way_back(self, migrating):
        retrieval.backfill(migrating)
        assert (migrating / ".retrieve/vectors.lmdb").exists()
        entry = retrieval.finish_upgrade(migrating)

        assert entry["state"] == "complete"
        assert not (migrating / ".retrieve/vectors.lmdb").exists()
        assert not (migrating / ".retrieve/rerank.f16").exists()
        assert len(list((migrating / ".retrieve/generations").iterdir())) == 1
        check_all_new(migrating)
        with pytest.raises(OptionError, match="old vectors were dropped"):
            retrieval.rollback(migrating)
        assert retrieval.build_index(migrating).encoded == 0

    def test_old_vectors_cannot_be_dropped_while_they_answer(self, migrating):
        with pytest.raises(OptionError, match="the old vectors are in use"):
            retrieval.finish_upgrade(migrating)

    def test_a_third_encoder_may_follow(self, migrating):
        retrieval.backfill(migrating)
        retrieval.finish_upgrade(migrating)
        report = retrieval.upgrade(migrating, encoder="drift:narrow", force=True)
        assert report.old == "drift:new"
        assert retrieval.backfill(migrating).complete

        check_all_new(migrating, "narrow")
        facts = retrieval.upgrade_report(migrating)
        assert facts["encoders"] == ["drift:old", "drift:new", "drift:narrow"]
        assert facts["unmeasured"] == []
        assert 0.1 < facts["matrix"][2][0] <= 1  # usual: 0.24, by chance: 0.007
        assert facts["matrix"][1][0] is not None
        assert [row[place + 1 :] for place, row in enumerate(facts["matrix"])] == [[None, None], [None], []]
        assert len(list((migrating / ".retrieve/spaces").iterdir())) == 2

    def test_a_server_follows_from_one_upgrade_into_the_next(self, migrating):
        """Queries of both encoders (slerp), twice: the old side of the second is the new side of the first."""
        retrieval.rollback(migrating)
        retrieval.upgrade(migrating, encoder="drift:new", method="slerp", force=True)
        with retrieval.open(migrating) as server:
            server.search(picture(3), k=5)
            retrieval.backfill(migrating)
            retrieval.finish_upgrade(migrating)
            retrieval.upgrade(migrating, encoder="drift:narrow", method="slerp", force=True)
            assert server.refresh()
            with retrieval.open(migrating) as fresh:
                assert server.search(picture(3), k=5) == fresh.search(picture(3), k=5)

    def test_a_gallery_of_which_nothing_was_kept_is_named_in_the_report(self, migrating):
        retrieval.backfill(migrating)
        retrieval.finish_upgrade(migrating)
        shutil.rmtree(migrating / ".retrieve/past")
        retrieval.upgrade(migrating, encoder="drift:narrow", force=True)

        facts = retrieval.upgrade_report(migrating)
        assert facts["matrix"][2][0] is None
        (gap,) = facts["unmeasured"]
        assert (gap["query"], gap["gallery"]) == ("drift:narrow", "drift:old")
        assert gap["why"] == "none of its vectors were kept"

    def test_an_earlier_gallery_is_measured_as_it_was_when_it_was_there(self, photos):
        """A second encoder that says what the first new one says finds in the old gallery what that one found."""
        first = retrieval.upgrade(photos, encoder="drift:new")
        retrieval.backfill(photos)
        retrieval.finish_upgrade(photos)
        report = retrieval.upgrade(photos, encoder="drift:twin", force=True)

        (known,) = read_manifest(photos / ".retrieve").upgrades[-1]["earlier"]
        assert (known["gallery"], known["rows"]) == ("drift:old", report.sample - 80)  # 80 it is fitted on
        single = {m["method"]: m["new_old"] for m in first.methods if m["method"] != "slerp"}
        assert known["new_old"] == pytest.approx(single[known["method"]], abs=1e-6)


def test_a_compressed_index_serves_on_both_ways(photos):
    """Lists and codes of the old space answer until the switch, the new one gets its own, and the way back finds the old ones."""
    retrieval.build_index(photos, encoder=drift("old"), kind="IVF4,SQ8")
    retrieval.upgrade(photos, encoder="drift:new", method="ridge", force=True)
    retrieval.backfill(photos, count=60)
    with retrieval.open(photos, encoder=drift("new")) as collection:
        assert collection.manifest.index.factory == "IVF4,SQ8"
        for seed in range(5):
            query = picture(500 + seed)
            assert [h.id for h in collection.search(query, k=5, nprobe=4)] == [
                h.id for h in collection.search(query, k=5, exact=True)
            ]
    retrieval.backfill(photos)
    with retrieval.open(photos, encoder=drift("new")) as collection:
        index = collection.manifest.index
        assert (index.factory, index.base_rows, index.dim) == ("IVF4,SQ8", COUNT, NEW)
        assert collection.search(picture(7), k=1)[0].path == NAMES[7]
        assert retrieval.evaluate(collection).recall_at_10 > 0.9
    retrieval.rollback(photos)
    with retrieval.open(photos, encoder=drift("old")) as collection:
        index = collection.manifest.index
        assert (index.factory, index.base_rows, index.dim) == ("IVF4,SQ8", COUNT, OLD)
        assert retrieval.evaluate(collection).recall_at_10 > 0.9
    check_all_new(photos, "old")
